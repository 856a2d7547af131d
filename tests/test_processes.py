"""The harness for real processes, tried on a trivial server: it waits, it ends everything, it shows logs."""

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from processes import Processes, free_port, until

SERVER = """
import http.server, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
def end(*_):
    print("draining", flush=True)
    raise SystemExit(7)
signal.signal(signal.SIGTERM, end)
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(f"child {child.pid}")
print(f"listening on http://127.0.0.1:{server.server_port}/.", flush=True)
server.serve_forever()
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_server_is_started_found_asked_and_stopped(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("hello")
    server = processes.start(sys.executable, "-c", SERVER, name="server", cwd=tmp_path)
    url = server.url()
    server.ready(url)
    with urllib.request.urlopen(f"{url}/hello.txt") as reply:
        assert reply.read() == b"hello"
    assert server.running
    assert server.stop() == 7
    assert "draining" in server.log()
    assert "draining" in (processes.logs / "00-server.log").read_text()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
@pytest.mark.parametrize("end", ["stop", "kill", "leave"])
def test_nothing_that_a_process_started_outlives_it(end: str, tmp_path: Path) -> None:
    with Processes(tmp_path) as running:
        server = running.start(sys.executable, "-c", SERVER)
        child = int(server.line(r"child (\d+)").group(1))
        assert _alive(child)
        server.url()
        if end != "leave":
            getattr(server, end)()
    until(lambda: not _alive(child) and not _alive(server.pid), "both ended", 5)


def test_one_process_alone_can_be_killed(processes: Processes) -> None:
    server = processes.start(sys.executable, "-c", SERVER)
    server.url()
    server.signal(signal.SIGKILL)
    assert server.wait() == -signal.SIGKILL
    server.signal(signal.SIGTERM)  # too late, and harmless
    assert not server.running


def test_a_process_that_ignores_sigterm_is_killed_and_the_test_told(processes: Processes) -> None:
    stubborn = processes.start(sys.executable, "-c", STUBBORN)
    stubborn.line("up")
    with pytest.raises(TimeoutError, match="still runs"):
        stubborn.stop(deadline_s=0.1)
    assert not stubborn.running


def test_a_line_that_never_comes_fails_with_the_log(processes: Processes) -> None:
    short = processes.start(sys.executable, "-c", "print('one'); print('two')")
    assert short.line("two")
    assert short.line("one")  # the past counts
    with pytest.raises(TimeoutError, match=r"(?s)it ended.*one\ntwo"):
        short.line("three")
    stubborn = processes.start(sys.executable, "-c", STUBBORN)
    with pytest.raises(TimeoutError, match=r"0\.05 s went by"):
        stubborn.line("never", deadline_s=0.05)


def test_readiness_fails_at_once_when_the_process_ends_and_by_its_deadline_when_nobody_listens(
    processes: Processes,
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/"
    broken = processes.start(sys.executable, "-c", "raise SystemExit('no such directory')")
    with pytest.raises(TimeoutError, match=r"(?s)ended with 1.*no such directory"):
        broken.ready(nobody)
    silent = processes.start(sys.executable, "-c", STUBBORN)
    with pytest.raises(TimeoutError, match="refused"):
        silent.ready(nobody, deadline_s=0.1)


def test_a_run_shows_logs_skips_and_plain_counts(tmp_path: Path) -> None:
    for name in ("conftest.py", "live.py", "processes.py"):
        shutil.copy(Path(__file__).parent / name, tmp_path / name)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\nmarkers =\n    soak: longer\n")
    (tmp_path / "test_it.py").write_text(
        "import pytest, sys\n"
        "def test_passes(): pass\n"
        "def test_fails(processes):\n"
        "    processes.start(sys.executable, '-c', 'print(6 * 7000)').line('42000')\n"
        "    assert False\n"
        "@pytest.fixture\n"
        "def broken(): raise OSError\n"
        "def test_errs(broken): pass\n"
        "def test_skips(): pytest.skip('no tin-opener here')\n"
        "@pytest.mark.soak\n"
        "def test_takes_long(): assert False\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert "42000" in done.stdout.split("log of")[1]
    assert "skipped test_it.py::test_skips: no tin-opener here" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 passed, 2 failed, 1 skipped"
    soaked = subprocess.run([*command, "-m", "soak"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert soaked.stdout.splitlines()[-1] == "0 passed, 1 failed, 0 skipped"
