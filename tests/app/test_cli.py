"""The command as a stranger meets it: help, completion, errors with a code and what to do, JSON everywhere."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from processes import Processes

QUORATE = (sys.executable, "-m", "quorate")
COMMANDS = ("up", "node", "submit", "status", "watch", "tasks", "nodes", "cancel", "events", "sim", "demo", "bench")


def quorate(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run([*QUORATE, *arguments], capture_output=True, text=True, input=stdin, timeout=60, check=False)


def test_help_names_every_command() -> None:
    told = quorate("--help")
    assert told.returncode == 0
    for command in (*COMMANDS, "task", "log", "receipt", "grant", "version", "mcp"):
        assert command in told.stdout


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, quorate.app.cli; print(*sorted(m for m in sys.modules if '.' not in m))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"litestar", "uvicorn", "httpx", "mcp", "nacl", "blake3", "sqlite3", "prometheus_client", "yaml"}
    assert heavy.isdisjoint(loaded)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_for(shell: str) -> None:
    code = (
        "from typer._completion_shared import get_completion_script as script;"
        f"print(script(prog_name='quorate', complete_var='_QUORATE_COMPLETE', shell={shell!r}))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "quorate" in told.stdout.lower()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("status", "--url", "http://127.0.0.1:1", "--token", "x"), 3001),
        (("status", "--url", "http://127.0.0.1:1", "--data", "/nowhere/at/all"), 1003),
        (("receipt", "verify", "/nowhere/receipt.json"), 1002),
        (("node", "ftp://somewhere", "--data", "{tmp}/node"), 1002),
        (("submit", "/nowhere/job.yaml", "--token", "x"), 1002),
        (("submit", "--command", "cat {}", "--token", "x"), 1002),
        (("submit", "--command", "cat {}", "--over", "/nowhere/*.txt", "--token", "x"), 1000),
        (("sim", "--seeds", "many"), 1002),
        (("log", "verify", "--offline", "/nowhere"), 1000),
        (("up", "--data", "{tmp}/up", "--pack", "no.such.module:pack"), 1002),
        (("demo", "--dir", "/nowhere/at/all", "--work-dir", "{tmp}/demo"), 1000),
    ],
)
def test_errors_have_a_code_and_say_what_to_do(arguments: tuple[str, ...], code: int, tmp_path: Path) -> None:
    filled = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    told = quorate(*filled, "--json")
    assert told.returncode == 1, told.stderr
    error = json.loads(told.stderr.splitlines()[-1])["error"]
    assert error["code"] == code, error
    assert error["whatToDo"] and error["message"]
    plain = quorate(*filled)
    assert plain.returncode == 1
    assert f"error {code}" in plain.stderr and "->" in plain.stderr
    assert "Traceback" not in plain.stderr + told.stderr


@pytest.mark.parametrize("text", ["tasks: 3", "- a\n- b", "{", "name: x\ntasks: [1]", "tasks: []\nwhat: 1"])
def test_a_job_that_is_none_is_refused_before_anything_is_sent(text: str) -> None:
    told = quorate("submit", "-", "--token", "x", "--url", "http://127.0.0.1:1", "--json", stdin=text)
    assert json.loads(told.stderr)["error"]["code"] == 1002


def test_a_busy_port_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        told = quorate("up", "--data", str(tmp_path / "up"), "--port", port, "--json")
    assert told.returncode == 1
    assert json.loads(told.stderr.splitlines()[-1])["error"]["code"] == 3001


def test_two_coordinators_do_not_share_a_data_directory(tmp_path: Path, processes: Processes) -> None:
    first = processes.start(*QUORATE, "up", "--data", str(tmp_path / "up"), "--port", "0", "--json", name="first")
    first.line(r"(\{.*\})")
    told = quorate("up", "--data", str(tmp_path / "up"), "--port", "0", "--json")
    assert told.returncode == 1
    assert json.loads(told.stderr.splitlines()[-1])["error"]["code"] == 1006
    assert first.stop() == 0


def test_version() -> None:
    assert json.loads(quorate("version", "--json").stdout)["version"]
