"""One child process with everything below it: its output bounded, its end certain, its use measured.

Knows nothing of policies. Runs on the thread of the event loop: the child dies with the thread that made it.

Invariants: C1 when `execute` returns, also by an exception, no process of a confined child is left. C2 at most
`output_bytes` of stdout are kept, and the end of stderr. C3 a process is signalled only while it cannot yet be reaped,
so that no other process with the same id is ever hit.
"""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from quorate.adapters.sandbox import census
from quorate.adapters.sandbox.policy import Bounds
from quorate.base.limits import SANDBOX_OUTPUT_BYTES, TASK_LOG_MAX_BYTES

_READ_BYTES = 64 * 1024
_FIRST_LOOK_S = 0.004
_LOOK_CAP_S = 0.25
_KILL_AGAIN_S = 0.005
_KILL_TRIES = 400
_WITHOUT_PIDFD_S = 0.01
COUNTED_LATE_KIB = 4 * 1024  # the kernel adds up a thread's pages now and then, not each
_MEASURED_IN_BYTES = sys.platform == "darwin"


class Ended(StrEnum):
    """Why a child is no more: by itself, or killed for what it used."""

    EXITED = "exited"
    TIMED_OUT = "timed out"
    FLOODED = "flooded"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`status`: as a shell says it, 128 + n after signal n. `stderr`: its last bytes. `peak_kib` 0: not measured."""

    ended: Ended
    status: int
    stdout: bytes
    stderr: bytes
    wall_ms: int
    cpu_ms: int
    peak_kib: int


@dataclass(frozen=True, slots=True)
class Spawn:
    """What to run. `confined`: its only child is the first process of a process namespace."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    bounds: Bounds
    confined: bool
    cwd: Path | None = None
    stdin: Path | None = None
    pass_fds: tuple[int, ...] = ()


async def execute(spawn: Spawn, timeout_s: float) -> Outcome:
    """Run to the end, to a limit or to the timeout. Cancelled, it still leaves nothing behind."""
    child = _Child(spawn, timeout_s)
    try:
        await asyncio.shield(child.ended)
    finally:
        await _uninterrupted(child.end())
    return child.outcome()


_ending: set[asyncio.Task[None]] = set()


async def _uninterrupted(end: Coroutine[Any, Any, None]) -> None:
    """Await, and go on in the background when the waiting itself is cancelled."""
    task = asyncio.ensure_future(end)
    _ending.add(task)
    task.add_done_callback(_ending.discard)
    await asyncio.shield(task)


class _Stream:
    """One pipe from the child. Keeps what fits, counts the rest."""

    def __init__(self, fd: int, limit: int, keep: int, tail: bool) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.total = 0
        self._limit = limit
        self._keep = keep
        self._tail = tail
        self._data = bytearray()

    def read(self) -> bool:
        """Take what is there, once. False: nothing at the moment, or no more."""
        try:
            data = os.read(self.fd, _READ_BYTES)
        except BlockingIOError:
            return False
        self.total += len(data)
        self._data += data
        if self._tail and len(self._data) > 2 * self._keep:
            del self._data[: -self._keep]
        elif not self._tail:
            del self._data[self._keep :]
        return bool(data)

    @property
    def flooded(self) -> bool:
        return self.total > self._limit

    @property
    def kept(self) -> bytes:
        return bytes(self._data[-self._keep :] if self._tail else self._data)


class _Child:
    def __init__(self, spawn: Spawn, timeout_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Ended] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._bounds = spawn.bounds
        self._confined = spawn.confined
        self._seen_peak = 0
        self._status = 0
        self._usage: resource.struct_rusage | None = None
        self._started = time.monotonic_ns()
        self._finished = 0
        self._process, stdout, stderr = _start(spawn)
        self._pid = self._process.pid
        self._stdout = _Stream(stdout, spawn.bounds.output_bytes, spawn.bounds.output_bytes, tail=False)
        self._stderr = _Stream(stderr, SANDBOX_OUTPUT_BYTES, TASK_LOG_MAX_BYTES, tail=True)
        for stream in (self._stdout, self._stderr):
            self._loop.add_reader(stream.fd, self._readable, stream)
        self._pidfd = _open_pidfd(self._pid)
        self._await_exit()
        self._timer = self._loop.call_later(timeout_s, self._settle, Ended.TIMED_OUT)
        self._look_s = _FIRST_LOOK_S
        self._look = self._loop.call_later(self._look_s, self._take_census)

    def _settle(self, ended: Ended) -> None:
        if not self.ended.done():
            self.ended.set_result(ended)

    def _readable(self, stream: _Stream) -> None:
        if not stream.read():
            self._loop.remove_reader(stream.fd)
        elif stream.flooded:
            self._settle(Ended.FLOODED)

    def _take_census(self) -> None:
        limit = self._bounds.memory_bytes // 1024
        found = census.memory(census.family(self._pid), limit)
        self._seen_peak = max(self._seen_peak, found.peak_kib)
        if found.held_kib > limit:
            self._settle(Ended.MEMORY)
        self._look_s = min(2 * self._look_s, _LOOK_CAP_S)
        self._look = self._loop.call_later(self._look_s, self._take_census)

    def _await_exit(self) -> None:
        if self._pidfd >= 0:
            self._loop.add_reader(self._pidfd, self._exited)
        else:
            self._loop.call_later(_WITHOUT_PIDFD_S, self._exited)

    def _exited(self) -> None:
        """The process is a zombie (or, without pidfd, may be): its id is still its own until it is reaped here."""
        if self._gone.done():
            return
        if self._pidfd >= 0:
            self._kill_group()
        pid, status, usage = os.wait4(self._pid, os.WNOHANG)
        if pid == 0:
            self._await_exit()
            return
        if self._pidfd < 0:
            self._kill_group()
        code = os.waitstatus_to_exitcode(status)
        self._finished = time.monotonic_ns()
        self._status = code if code >= 0 else 128 - code
        self._usage = usage
        self._process.returncode = code  # so that nobody else waits for the id
        self._gone.set_result(None)
        self._settle(Ended.EXITED)

    def _kill_group(self) -> None:
        """What an unconfined task started and left. What made a session of its own gets away."""
        if not self._confined:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)

    async def end(self) -> None:
        """See to it that all are dead, take what they still wrote, give everything back."""
        self._timer.cancel()
        self._look.cancel()
        try:
            await self._kill()
        finally:
            if self._pidfd >= 0:
                self._loop.remove_reader(self._pidfd)
                os.close(self._pidfd)
            for stream in (self._stdout, self._stderr):
                self._loop.remove_reader(stream.fd)
                while not stream.flooded and stream.read():
                    pass
                os.close(stream.fd)

    async def _kill(self) -> None:
        """Kill the first process of the namespace: the kernel then kills all others, and only when all are gone does
        the confining process outside learn of it and end. Killing that one instead would not tell us when."""
        for _ in range(_KILL_TRIES):
            if self._gone.done():
                return
            if self._confined:
                for inner in census.children(self._pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(inner, signal.SIGKILL)
            else:
                self._kill_group()
            await asyncio.wait((self._gone,), timeout=_KILL_AGAIN_S)
        if not self._gone.done():
            # It never came as far as a child, or /proc does not tell: it takes its child with it.
            os.kill(self._pid, signal.SIGKILL)
            await self._gone

    def outcome(self) -> Outcome:
        """How it went. Valid after `end`."""
        ended = self.ended.result()
        if self._stdout.flooded or self._stderr.flooded:
            ended = Ended.FLOODED
        usage = self._usage
        cpu_s = usage.ru_utime + usage.ru_stime if usage else 0.0
        peak = _peak_kib(usage) if usage else 0
        if peak <= _peak_kib(resource.getrusage(resource.RUSAGE_SELF)) + COUNTED_LATE_KIB:
            # Between fork and exec a child counts its parent's pages as its own: then only what was seen is true.
            peak = self._seen_peak
        wall_ms = (self._finished - self._started) // 1_000_000
        return Outcome(ended, self._status, self._stdout.kept, self._stderr.kept, wall_ms, round(cpu_s * 1000), peak)


def _start(spawn: Spawn) -> "tuple[subprocess.Popen[bytes], int, int]":
    """Start it as the leader of a group of its own, with nothing inherited but what is named; where to read."""
    with contextlib.ExitStack() as on_failure, contextlib.ExitStack() as afterwards:
        ends: list[int] = []
        for _ in range(2):
            read, write = os.pipe()
            on_failure.callback(os.close, read)
            afterwards.callback(os.close, write)
            ends += (read, write)
        stdin = afterwards.enter_context(spawn.stdin.open("rb")) if spawn.stdin else subprocess.DEVNULL
        process = subprocess.Popen(  # noqa: S603 - running what one is told is what this is for
            list(spawn.argv),
            stdin=stdin,
            stdout=ends[1],
            stderr=ends[3],
            cwd=spawn.cwd,
            env=dict(spawn.environment),
            close_fds=True,
            pass_fds=spawn.pass_fds,
            start_new_session=True,
        )
        on_failure.pop_all()
        return process, ends[0], ends[2]


def _open_pidfd(pid: int) -> int:
    """A descriptor that can be read when the process has ended, or -1 where there is no such thing."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def _peak_kib(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss // 1024 if _MEASURED_IN_BYTES else usage.ru_maxrss
