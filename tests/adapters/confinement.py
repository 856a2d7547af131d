"""Sandboxes for tests: both ways of confining that this machine allows, and ways to look at what is left of a task."""

import asyncio
import os
import select
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

from quorate.adapters.sandbox import Bounds, Outcome, Sandbox

LONG_S = 20.0


@cache
def sandboxes() -> dict[str, Sandbox]:
    """By how the task loses its rights: a user of its own (only as root), a user namespace. Empty: none works here."""
    probed = Sandbox.probed()
    host = probed.findings.host
    if host is None:
        return {}
    if not host.setpriv:
        return {"user namespace": probed}
    nested = Sandbox(replace(probed.findings, host=replace(host, setpriv="")))
    return {"own user": probed, "user namespace": nested}


def run(sandbox: Sandbox, inputs: Path, *argv: str, timeout_s: float = LONG_S, **options: object) -> Outcome:
    """Run a program to its end."""
    return asyncio.run(sandbox.run(argv, inputs, timeout_s=timeout_s, **options))  # type: ignore[arg-type]


def python(sandbox: Sandbox, inputs: Path, source: str, **options: object) -> str:
    """What a Python program prints in the sandbox. It must end well."""
    outcome = run(sandbox, inputs, "python3", "-c", source, **options)
    assert outcome.status == 0, outcome
    return outcome.stdout.decode().strip()


def new_mark() -> str:
    """Seconds for `sleep` that nobody else sleeps; an hour, should a test that fails leave it behind."""
    return f"3600.{os.getpid()}{time.monotonic_ns()}"


def running(mark: str) -> list[int]:
    """Processes of this machine that have `mark` in their arguments, zombies and this one excepted."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                pass
    return found


def all_end(pids: list[int], within_s: float) -> bool:
    """Wait for processes that are not our children."""
    poll = select.poll()
    open_fds = []
    for pid in pids:
        try:
            open_fds.append(os.pidfd_open(pid))
        except ProcessLookupError:
            continue
    for fd in open_fds:
        poll.register(fd, select.POLLIN)
    left = set(open_fds)
    while left:
        events = poll.poll(within_s * 1000)
        if not events:
            break
        for fd, _ in events:
            poll.unregister(fd)
            left.discard(fd)
    for fd in open_fds:
        os.close(fd)
    return not left


def left(sandbox: Sandbox, mark: str) -> list[int]:
    """What is left of a task at once; bare, what does not end soon."""
    found = running(mark)
    return found if sandbox.isolation or not all_end(found, within_s=5) else []


SMALL = Bounds(memory_bytes=256 * 1024 * 1024, cpu_seconds=10, output_bytes=1024 * 1024)
