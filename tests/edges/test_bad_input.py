"""Whatever a caller sends: a clear coded error each time, the coordinator up, nothing lost."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from live import Live, bearer, refused
from processes import Processes, until
from quorate.base.limits import BODY_MAX_BYTES, JOB_TASKS_MAX, NAME_MAX_CHARS

NAMES = {
    "NUL": "a\x00b",
    "newline": "a\nb",
    "escape": "\x1b[31mred",
    "line separator": "a\u2028b",
    "lone surrogate": "\ud800",
    "too long": "n" * (NAME_MAX_CHARS + 1),
}
GOOD_NAMES = (
    "Größe",
    "计算",
    "🦆 duck",
    "e\u0301",
    "שלום",
    "'; DROP TABLE tasks; --",
    "../../etc/passwd",
    "a" * NAME_MAX_CHARS,
)


@pytest.fixture(autouse=True)
def nothing_is_lost(swarm: Live) -> Iterator[None]:
    """Before and after each test an acknowledged event is where it was, and the coordinator answers."""
    written = swarm.post("/events", {"type": "before", "data": None})
    reloads = metric(swarm, "quorate_reloads_total")
    yield
    assert swarm.process.running and swarm.request("GET", "/ready", token="").status_code == 200
    found = swarm.get(f"/events?since={swarm.realm}.{written['position'] - 1}&limit=1")["items"][0]
    assert found["id"] == written["event"]
    assert metric(swarm, "quorate_reloads_total") == reloads, "bad input made it reload"


def metric(live: Live, name: str) -> float:
    lines = live.request("GET", "/metrics", token="").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + (" ")))


def send(swarm: Live, body: bytes, path: str = "/jobs", media: str = "application/json") -> httpx.Response:
    return swarm.request("POST", path, content=body, headers={"content-type": media})


@pytest.mark.parametrize(
    "path", ["/jobs", "/tasks", "/agents", "/events", "/grants", "/nodes/register", "/orchestration"]
)
def test_what_is_no_json_or_of_the_wrong_shape(swarm: Live, path: str) -> None:
    for body in (b"", b"{", b"nul", b"\xff\xfe\x00", b'{"name": NaN}', b"[]", b"7", b'"x"', b"null", b"{" * 100_000):
        refused(send(swarm, body, path), 1002, 400)
    refused(send(swarm, b'{"no_such_field": 1}', path), 1002, 400)
    refused(send(swarm, b'{"name": 7, "title": 7, "type": 7, "role": 7, "label": 7}', path), 1002, 400)
    refused(send(swarm, b"a=b", path, "text/nonsense"), 1002, 400)


def test_a_body_over_the_limit(swarm: Live) -> None:
    large = b'{"name": "' + b"x" * BODY_MAX_BYTES + b'"}'
    refused(send(swarm, large), 1007, 413)

    def parts() -> Iterator[bytes]:  # without a content-length: counted as it comes
        for _ in range(BODY_MAX_BYTES // 65536 + 2):
            yield b"x" * 65536

    refused(swarm.request("POST", "/jobs", content=parts(), headers={"content-type": "application/json"}), 1007, 413)
    host, port = swarm.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as lying:
        head = ("POST /api/v1/blobs HTTP/1.1", "Host: x", f"Authorization: Bearer {swarm.token}")
        lying.sendall("\r\n".join((*head, f"Content-Length: {2**40}", "", "")).encode())
        assert b" 413 " in lying.recv(65536)


def test_a_job_over_the_task_limit_and_one_without_tasks(swarm: Live) -> None:
    many = [{"name": str(n), "executor": "noop"} for n in range(JOB_TASKS_MAX + 1)]
    message = refused(swarm.request("POST", "/jobs", json={"name": "many", "tasks": many}), 1007, 413)
    assert str(JOB_TASKS_MAX) in message
    refused(swarm.request("POST", "/jobs", json={"name": "none", "tasks": []}), 1002, 400)


def job(swarm: Live, *tasks: dict[str, Any], **more: Any) -> httpx.Response:
    given = [{"name": f"t{i}", "executor": "noop"} | task for i, task in enumerate(tasks)]
    return swarm.request("POST", "/jobs", json={"name": "j", "tasks": given} | more)


def test_a_graph_that_is_none(swarm: Live) -> None:
    assert "t0 -> t1 -> t0" in refused(job(swarm, {"deps": ["t1"]}, {"deps": ["t0"]}), 4000, 422)
    assert "t0" in refused(job(swarm, {"deps": ["t0"]}), 4000, 422)
    ring = [{"deps": [f"t{(n + 1) % 50}"]} for n in range(50)]
    refused(job(swarm, *ring), 4000, 422)
    assert "nobody" in refused(job(swarm, {"deps": ["nobody"]}), 1002, 400)
    refused(job(swarm, {"name": "x"}, {"name": "x"}), 1002, 400)
    refused(job(swarm, {}, {"deps": ["t0", "t0"]}), 4000, 422)


def test_an_executor_or_validator_that_nobody_has(swarm: Live) -> None:
    message = refused(job(swarm, {"executor": "quantum"}), 1008, 422)
    assert "quantum" in message and "command" in message and "noop" in message
    refused(swarm.request("POST", "/tasks", json={"title": "x", "executor": "quantum"}), 1008, 422)
    refused(job(swarm, {"executor": "noop", "validator": "oracle"}), 1008, 422)
    assert job(swarm, {"executor": "command", "command": ["true"]}).status_code == 201


WRONG = [
    {"replicas": 0},
    {"replicas": 17},
    {"replicas": "2"},
    {"replicas": 1.5},
    {"quorum": -1},
    {"timeoutMs": 0},
    {"timeoutMs": 2**63},
    {"retries": 101},
    {"needs": "cpu"},
    {"needs": [str(n) for n in range(17)]},
    {"deps": [7]},
    {"inputBlob": "zz"},
    {"command": ["true"]},
    {"files": [{"name": 7}]},
    {"name": 7},
    {"name": None},
    {"budget": -1},
    {"budget": 2**64},
    {"files": [{"name": "../x", "text": "y"}], "executor": "command", "command": "true"},
    {"env": {"A": 1}, "executor": "command", "command": "true"},
]


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_wrong_types_and_values_name_what_is_wrong(swarm: Live, wrong: dict[str, Any]) -> None:
    if "../x" in str(wrong):
        answer = job(swarm, wrong)
        if answer.status_code == 201:  # a name is judged where the file would be written: by the node
            view = swarm.done(answer.json()["jobId"])
            assert view["failed"] == 1, view
            return
    message = refused(job(swarm, wrong), 1002, 400)
    assert "t0" in message or "tasks[0]" in message or "inputBlob" in message, message


def test_a_quorum_that_the_replicas_cannot_make(swarm: Live) -> None:
    refused(job(swarm, {"replicas": 2, "quorum": 3}), 4000, 422)


@pytest.mark.parametrize("bad", NAMES.values(), ids=NAMES)
def test_names_that_terminals_and_databases_choke_on(swarm: Live, bad: str) -> None:
    escaped = '"' + "".join(f"\\u{ord(c):04x}" if not " " <= c <= "~" else c for c in bad) + '"'
    bodies = {
        "/jobs": f'{{"name": {escaped}, "tasks": [{{"name": "a", "executor": "noop"}}]}}',
        "/jobs#task": f'{{"name": "j", "tasks": [{{"name": {escaped}, "executor": "noop"}}]}}',
        "/tasks": f'{{"title": "x", "executor": {escaped}}}',
        "/agents": f'{{"name": {escaped}}}',
        "/events": f'{{"type": {escaped}}}',
        "/grants": f'{{"role": "user", "label": {escaped}}}',
        "/nodes/register": f'{{"label": {escaped}}}',
        "/tasks#title": f'{{"title": {escaped}}}',
        "/tasks#tag": f'{{"title": "x", "tags": [{escaped}]}}',
    }
    for path, body in bodies.items():
        answer = send(swarm, body.encode(), path.partition("#")[0])
        if bad.startswith("nnn") and path == "/tasks#title":  # a title may be longer
            continue
        if bad.startswith("nnn") and path == "/tasks#tag":
            assert answer.status_code in (400, 413), answer.text
            continue
        assert answer.status_code in (400, 422), f"{path}: {answer.status_code} {answer.text}"
        refused(answer, answer.json()["code"], answer.status_code)
        assert answer.json()["code"] in (1002, 1008)


def test_names_in_any_script_come_back_as_they_were(swarm: Live) -> None:
    for name in GOOD_NAMES:
        made = job(swarm, {"name": name}, name=name)
        assert made.status_code == 201, made.text
        assert swarm.get(f"/jobs/{made.json()['jobId']}")["name"] == name
        assert swarm.get(f"/tasks/{made.json()['tasks'][name]}")["name"] == name
        agent = swarm.post("/agents", {"name": name})
        assert swarm.get(f"/agents/{agent['id']}")["name"] == name


@pytest.mark.parametrize("id", ["", "zz", "0" * 31, "0" * 33, "0" * 64, "G" * 32, "..", "%00", "%2e%2e%2fstatus", "💥"])
def test_ids_that_are_none(swarm: Live, id: str) -> None:
    for path in ("/tasks/{}", "/jobs/{}", "/agents/{}", "/tasks/{}/results", "/tasks/{}/receipt"):
        answer = swarm.request("GET", path.format(id))
        assert answer.status_code in (200, 400, 404), answer.text
        if answer.status_code == 200:
            assert id in ("", "..")  # what is left of the path is another one


def test_pages_and_cursors_that_are_none(swarm: Live) -> None:
    for query in ("limit=0", "limit=-1", "limit=501", "limit=x", "limit=1e3", "state=gone", "before=zz", "limit="):
        refused(swarm.request("GET", f"/tasks?{query}"), 1002, 400)
    for query in ("since=x", f"since={swarm.realm}.x", "limit=0"):
        refused(swarm.request("GET", f"/events?{query}"), 1002, 400)
    refused(swarm.request("GET", f"/events?since={'0' * 32}.1"), 1000, 404)
    refused(swarm.request("GET", "/log?after=-1"), 1002, 400)
    for query in ("before=zz", "before=-1"):
        for path in ("/jobs", "/nodes", "/agents"):
            refused(swarm.request("GET", f"{path}?{query}"), 1002, 400)


def test_tokens_expired_forged_revoked_and_of_the_wrong_sort(swarm: Live) -> None:
    brief = swarm.grant("user", ttl_ms=400)
    assert swarm.request("GET", "/status", token=brief["token"]).status_code == 200
    until(lambda: time.time() * 1000 > brief["expiresMs"], "it expired")
    refused(swarm.request("GET", "/status", token=brief["token"]), 1003, 401)
    refused(swarm.request("POST", "/tasks", token=brief["token"], json={"title": "late"}), 1003, 401)
    gone = swarm.grant("user")
    assert swarm.request("DELETE", f"/grants/{gone['id']}").json()["revoked"]
    refused(swarm.request("GET", "/status", token=gone["token"]), 1003, 401)
    forged = gone["token"][:-1] + ("0" if gone["token"][-1] != "0" else "1")
    for token in (forged, swarm.token[:-1], swarm.token + "0", swarm.token.upper(), gone["id"], "x" * 100_000):
        answer = swarm.request("GET", "/status", token=token)
        assert answer.status_code in (400, 401, 431), answer.status_code
        if len(token) < 10_000:
            refused(answer, 1003, 401)
    join = swarm.post("/nodes/register", {"label": "x"})["token"]
    refused(swarm.request("GET", "/status", token=join), 1005, 403)


def test_events_that_others_signed_wrongly(swarm: Live) -> None:
    page = swarm.get("/log?after=0&limit=3")
    for sealed, code in (
        ({"head": "zz", "salt": "", "body": None, "sig": None}, 1002),
        ({"head": "00", "salt": "00", "body": "00", "sig": "00"}, None),
        (page["events"][0], None),  # the authority's own do not come from outside
        (page["events"][1] | {"body": "c0"}, None),
    ):
        answer = swarm.request("POST", "/events/sealed", json={"events": [sealed]})
        assert 400 <= answer.status_code < 500, answer.text
        refused(answer, code or answer.json()["code"], answer.status_code)
    refused(swarm.request("POST", "/events/sealed", json={"events": []}), 1007, 413)


def test_routes_and_verbs_that_there_are_not(swarm: Live) -> None:
    refused(swarm.request("GET", "/no/such/thing"), 1000, 404)
    refused(swarm.request("PATCH", "/tasks"), 1008, 405)
    refused(swarm.request("GET", "/api/v2/tasks"), 1000, 404)


def test_a_disk_that_is_full_is_told_survived_and_used_again(processes: Processes, tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(place)]
    mounted = subprocess.run(options, capture_output=True, text=True, check=False)
    if os.geteuid() or mounted.returncode:
        pytest.skip(
            f"cannot mount a small tmpfs, so no test on a coordinator whose disk is full: {mounted.stderr.strip()}"
        )
    try:
        live = Live(processes, place / "data")
        kept = [live.post("/events", {"type": "kept", "data": n})["position"] for n in range(5)]
        ballast = place / "ballast"
        fill(ballast)
        answer = live.request("POST", "/events", json={"type": "lost", "data": "x" * 200_000})
        refused(answer, 2000, 503)
        assert live.process.running
        until(lambda: live.request("GET", "/health", token="").status_code == 200, "it answers")
        assert live.request("POST", "/blobs", content=b"x" * 2_000_000).status_code == 503
        ballast.unlink()
        until(lambda: live.request("GET", "/ready", token="").status_code == 200, "it is ready again")
        after = live.post("/events", {"type": "after", "data": None})["position"]
        found = [event["position"] for event in live.get("/events?kind=note&limit=500")["items"]]
        assert found == [*kept, after]
        live.verify_log()
        assert live.process.stop() == 0
    finally:
        for process in processes.started:
            process.kill()
        subprocess.run(["umount", str(place)], check=True)


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


def test_the_log_of_the_swarm_that_saw_all_this_holds(swarm: Live) -> None:
    assert swarm.verify_log()["events"] >= 1
    assert swarm.http.get("/api/v1/status", headers=bearer(swarm.token)).status_code == 200
