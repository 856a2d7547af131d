"""Every subcommand that asks a coordinator, against a real one: for people and as JSON."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from live import Live
from processes import Processes, until

QUORATE = (sys.executable, "-m", "quorate")
JOB = """
name: sums
defaults: {executor: noop, replicas: 2, quorum: 2}
tasks:
- {name: a, input: 1}
- {name: b, input: 2}
- {name: both, deps: [a, b], input: 3}
"""


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("commands")
    with Processes(folder) as processes:
        live = Live(processes, folder / "coordinator")
        for number in range(2):
            live.node(f"node-{number}", "--slots", "2")
        yield live


def run(swarm: Live, *arguments: str, stdin: str = "", fails: bool = False) -> str:
    """A subcommand to its end; what it prints."""
    argv = [*QUORATE, *arguments, "--url", swarm.url, "--token", swarm.token]
    done = subprocess.run(argv, capture_output=True, text=True, input=stdin, timeout=60, check=False)
    assert done.returncode == (1 if fails else 0), done.stdout + done.stderr
    return done.stderr if fails else done.stdout


def asked(swarm: Live, *arguments: str, stdin: str = "") -> Any:
    return json.loads(run(swarm, *arguments, "--json", stdin=stdin))


@pytest.fixture(scope="module")
def job(swarm: Live) -> Any:
    return asked(swarm, "submit", "-", "--wait", stdin=JOB)


def test_submit_and_wait(job: Any) -> None:
    assert job["state"] == "completed" and job["completed"] == 3


def test_submit_over_files(swarm: Live, tmp_path: Path) -> None:
    for name in ("one.txt", "it's two.txt"):
        (tmp_path / name).write_text(f"{name}\n")
    done = asked(swarm, "submit", "--command", "cat {}", "--over", str(tmp_path / "*.txt"), "--wait")
    assert done["state"] == "completed" and done["total"] == 2
    tasks = asked(swarm, "tasks", "--job", done["id"])["items"]
    outputs = {swarm.get(f"/tasks/{task['id']}/results")["output"] for task in tasks}
    assert outputs == {"one.txt\n", "it's two.txt\n"}


def test_a_failing_job_ends_with_status_1(swarm: Live) -> None:
    text = "tasks:\n- {name: fails, command: 'echo broken >&2; exit 3', retries: 0}\n"
    argv = [*QUORATE, "submit", "-", "--wait", "--json", "--url", swarm.url, "--token", swarm.token]
    done = subprocess.run(argv, capture_output=True, text=True, input=text, timeout=60, check=False)
    assert done.returncode == 1 and json.loads(done.stdout)["state"] == "failed"
    task = asked(swarm, "tasks", "--job", json.loads(done.stdout)["id"])["items"][0]
    assert task["code"] == 4001 and "broken" in task["reason"]


def test_status_nodes_tasks(swarm: Live, job: Any) -> None:
    status = asked(swarm, "status")
    assert status["nodes"] == {"online": 2, "total": 2} and status["tasks"]["completed"] >= 3
    assert "node-0" in run(swarm, "nodes") and len(asked(swarm, "nodes")["items"]) == 2
    listed = asked(swarm, "tasks", "--job", job["id"])["items"]
    assert [task["name"] for task in listed] == ["both", "b", "a"]
    assert "completed" in run(swarm, "tasks", "--state", "completed")
    shown = asked(swarm, "task", "show", listed[0]["id"])
    assert len(shown["agreed"]) == 2 and shown["attempts"]
    assert "agreed" in run(swarm, "task", "show", listed[0]["id"])
    assert "1000" in run(swarm, "task", "show", "0" * 32, fails=True)


def test_cancel(swarm: Live) -> None:
    waiting = "tasks:\n- {name: w, executor: noop, needs: [moon]}\n"
    job = asked(swarm, "submit", "-", stdin=waiting)["jobId"]
    assert asked(swarm, "cancel", job)["id"] == job
    until(lambda: swarm.get(f"/jobs/{job}")["state"] == "cancelled", "the job is over")
    assert "1006" in run(swarm, "cancel", job, fails=True)
    other = asked(swarm, "submit", "-", stdin=waiting)
    assert asked(swarm, "cancel", other["tasks"]["w"])["state"] in ("queued", "cancelled")


def test_events_and_watch(swarm: Live, job: Any) -> None:
    lines = run(swarm, "events", "--kind", "job.submitted").splitlines()
    assert any(job["id"][:16] in line for line in lines)
    first = json.loads(run(swarm, "events", "--json", "--limit", "1").splitlines()[0])
    assert first["kind"] == "realm.founded"
    follow = [*QUORATE, "events", "--follow", "--json", "--since", first["cursor"], "--url", swarm.url]
    process = swarm.processes.start(*follow, "--token", swarm.token, name="follow")
    swarm.post("/events", {"type": "seen live"})
    process.line("seen live")
    process.signal(signal.SIGINT)
    process.wait()
    assert job["name"] in run(swarm, "watch", job["id"])


def test_grants(swarm: Live) -> None:
    issued = asked(swarm, "grant", "issue", "observer", "a reader")
    assert issued["token"].startswith("observer-")
    assert "a reader" in run(swarm, "grant", "list")
    argv = [*QUORATE, "status", "--json", "--url", swarm.url, "--token", issued["token"]]
    assert subprocess.run(argv, capture_output=True, timeout=30, check=False).returncode == 0
    assert asked(swarm, "grant", "revoke", issued["id"])["revoked"] is True
    refused = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert json.loads(refused.stderr)["error"]["code"] == 1003
    assert asked(swarm, "invite")["token"].startswith("join-")


def test_receipt_get_and_verify_offline(swarm: Live, job: Any, tmp_path: Path) -> None:
    task = asked(swarm, "tasks", "--job", job["id"])["items"][0]["id"]
    file = tmp_path / "receipt.json"
    assert asked(swarm, "receipt", "get", task, "--out", str(file))["bytes"] == file.stat().st_size
    verify = [*QUORATE, "receipt", "verify", str(file), "--json"]
    done = subprocess.run(verify, capture_output=True, text=True, timeout=30, check=True)
    report = json.loads(done.stdout)
    assert report["verified"] and report["task"] == task and len(report["agreed"]) == 2
    authority = asked(swarm, "status")["authority"]
    assert (
        subprocess.run([*verify, "--authority", authority], capture_output=True, timeout=30, check=False).returncode
        == 0
    )
    other = subprocess.run([*verify, "--authority", "00" * 32], capture_output=True, timeout=30, check=False)
    assert other.returncode == 1


def test_the_log_is_verified_online_and_offline_and_the_first_bad_event_is_named(
    processes: Processes, tmp_path: Path
) -> None:
    data = tmp_path / "coordinator"
    live = Live(processes, data)
    for number in range(5):
        live.post("/events", {"type": "entry", "data": number})
    online = json.loads(run(live, "log", "verify", "--json"))
    assert online["verified"] and online["events"] >= 7
    assert live.process.stop() == 0
    offline = [*QUORATE, "log", "verify", "--offline", str(data), "--json"]
    assert subprocess.run(offline, capture_output=True, timeout=30, check=False).returncode == 0
    with sqlite3.connect(data / "quorate.sqlite") as db:
        (body,) = db.execute("SELECT body FROM events WHERE position = 4").fetchone()
        db.execute("UPDATE events SET body = ? WHERE position = 4", (body[:-1] + bytes([body[-1] ^ 1]),))
    bad = subprocess.run(offline, capture_output=True, text=True, timeout=30, check=False)
    assert bad.returncode == 1
    assert "4" in json.loads(bad.stderr.splitlines()[-1])["error"]["message"]
