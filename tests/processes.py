"""Real processes for tests: start, wait for what they announce, ask whether they are ready, end them.

A process is ended by its id, with everything it started: each gets a session of its own. Every wait
has a deadline, and what misses it says what the process printed. Nothing is mocked and nothing sleeps
blindly: a line is awaited, and an address is asked again until it answers.
"""

import atexit
import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

DEADLINE_S = 20.0
POLL_S = 0.02
URL = r"(https?://\S+)"
_RUNNING: dict[int, "Process"] = {}


def free_port() -> int:
    """A TCP port that nobody listened on a moment ago. Let the program choose (port 0) where it can."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(holds: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Ask until it holds. Raises `TimeoutError` that names `what`."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline_s} s: {what}")
        pause.wait(POLL_S)


class Process:
    """One child process, leader of its own session. Output and errors go to one log, read line by line."""

    def __init__(
        self, argv: Sequence[str], name: str, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.name = name
        self._path = log
        self._lines: list[str] = []
        self._said = threading.Condition()
        self._closed = False
        self._child = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        _RUNNING[self._child.pid] = self
        self._reader = threading.Thread(target=self._read, name=f"log of {name}", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as pipe, self._path.open("wb") as log:
            for raw in pipe:
                log.write(raw)
                log.flush()
                with self._said:
                    self._lines.append(raw.decode(errors="replace").rstrip("\n"))
                    self._said.notify_all()
        with self._said:
            self._closed = True
            self._said.notify_all()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def log(self) -> str:
        """Everything that it printed so far."""
        with self._said:
            return "\n".join(self._lines)

    def line(self, pattern: str, deadline_s: float = DEADLINE_S) -> re.Match[str]:
        """The first line, past or future, in which `pattern` is found. Raises `TimeoutError` with the log."""
        read = 0
        end = time.monotonic() + deadline_s
        with self._said:
            while True:
                for text in self._lines[read:]:
                    match = re.search(pattern, text)
                    if match:
                        return match
                read = len(self._lines)
                left = end - time.monotonic()
                if self._closed or left <= 0:
                    why = "it ended" if self._closed else f"{deadline_s} s went by"
                    raise TimeoutError(
                        f"{self.name} never said {pattern!r}: {why}. It said:\n" + "\n".join(self._lines)
                    )
                self._said.wait(left)

    def url(self, deadline_s: float = DEADLINE_S) -> str:
        """The first address that it announces."""
        return self.line(URL, deadline_s).group(1).rstrip("/.,)")

    def ready(self, url: str, deadline_s: float = DEADLINE_S) -> None:
        """Wait until a GET of `url` answers with 2xx. Raises `TimeoutError` with the log; at once if it ended."""
        last = "nothing asked yet"

        def answers() -> bool:
            nonlocal last
            if not self.running:
                raise TimeoutError(
                    f"{self.name} ended with {self._child.returncode} before it was ready:\n{self.log()}"
                )
            try:
                with urllib.request.urlopen(url, timeout=2) as reply:
                    return bool(200 <= reply.status < 300)
            except (urllib.error.URLError, OSError) as error:
                last = str(error)
                return False

        try:
            until(answers, f"{self.name} at {url}", deadline_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error} ({last}). It said:\n{self.log()}") from None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself, by its id. One that has ended is left alone."""
        if self.running:
            self._child.send_signal(number)

    def wait(self, deadline_s: float = DEADLINE_S) -> int:
        """Its exit code once it ended by itself. Raises `TimeoutError`."""
        try:
            code = self._child.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} still runs after {deadline_s} s. It said:\n{self.log()}") from None
        self._end_session()
        return code

    def stop(self, deadline_s: float = DEADLINE_S) -> int:
        """SIGTERM, and the exit code. Raises `TimeoutError` (and kills) if it does not end."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(deadline_s)
        except TimeoutError:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL to it and to everything in its session that it started."""
        self._end_session()

    def _end_session(self) -> None:
        # The session outlives its leader while something that it started runs.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        self._reader.join(timeout=5)
        _RUNNING.pop(self._child.pid, None)


class Processes:
    """The processes of one test. Leaving it ends them all, newest first."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.started: list[Process] = []

    def start(
        self, *argv: str | Path, name: str = "", env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Process:
        """Start a program. Its log is a file below `logs`, shown when the test fails."""
        self.logs.mkdir(parents=True, exist_ok=True)
        name = name or Path(argv[0]).name
        log = self.logs / f"{len(self.started):02}-{name}.log"
        process = Process([str(part) for part in argv], name, log, env, cwd)
        self.started.append(process)
        return process

    def __enter__(self) -> "Processes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self.started):
            process.kill()


@atexit.register
def _end_strays() -> None:
    """A run that is interrupted leaves nothing behind either."""
    for process in list(_RUNNING.values()):
        process.kill()
