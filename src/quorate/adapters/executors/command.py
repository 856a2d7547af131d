"""The `command` executor: runs the program of a `CommandInput` in a sandbox; its stdout is the task's output.

Knows no policy: that is the sandbox's. A program that fails, floods or takes too long is a signed result with a code,
like any other answer. Two honest nodes give the same bytes if the program itself is deterministic: argv, files and
environment are the same everywhere.
"""

import asyncio
import os
import signal
import sys
import time

from quorate.adapters.executors.staging import Staged, parse, stage
from quorate.adapters.sandbox import Bounds, Ended, Outcome, Sandbox
from quorate.base.errors import DENIED, EXECUTION, OK, TIMEOUT, TOO_LARGE, UNSUPPORTED, QuorateError, require
from quorate.base.limits import SANDBOX_OUTPUT_BYTES, TASK_LOG_MAX_BYTES
from quorate.model import Lease, Result, TaskSpec
from quorate.model.executions import CommandInput
from quorate.ports import Box

ISOLATION = "isolation"


class Command:
    """`network`: the owner lets tasks that ask for it reach the network.

    `bare`: run tasks that do not demand isolation where the host cannot confine them, with the rights of the node's own
    user; by default unless that is root. On a host that can, every task is confined, whatever it demands.
    """

    name = "command"
    deterministic = True

    def __init__(self, sandbox: Sandbox, *, network: bool = False, bare: bool | None = None) -> None:
        self._sandbox = sandbox
        self._network = network
        self._bare = os.geteuid() != 0 if bare is None else bare

    @property
    def usable(self) -> bool:
        """Can any task be run? A node that cannot should not offer the executor."""
        return self._sandbox.isolation or self._bare

    def capabilities(self) -> tuple[str, ...]:
        offered = {
            ISOLATION: self._sandbox.isolation,
            f"{ISOLATION}:seccomp": self._sandbox.seccomp,
            f"os:{sys.platform}": True,
            f"python:{self._sandbox.python}": bool(self._sandbox.python),
            "network": self._network,
        }
        return tuple(name for name, there in offered.items() if there)

    async def run(self, spec: TaskSpec, lease: Lease, box: Box) -> Result:
        started = time.monotonic()
        timeout_s = spec.timeout_ms / 1000
        try:
            async with asyncio.timeout(timeout_s):
                asked = parse(await box.input())
                self._allow(spec, asked)
                staged = await stage(asked, box, box.scratch())
            outcome = await self._execute(asked, staged, timeout_s - (time.monotonic() - started))
        except QuorateError as error:
            return box.result(error.code, b"", words=_cut(str(error)))
        except TimeoutError:
            return box.result(TIMEOUT, b"", words=f"its input was not there within {spec.timeout_ms} ms")
        return _answer(outcome, asked, spec, box)

    def _allow(self, spec: TaskSpec, asked: CommandInput) -> None:
        """Asked again here: a coordinator that sends what was not offered is not to be trusted either."""
        if not self._sandbox.isolation:
            require(ISOLATION not in spec.needs, f"no isolation: {self._sandbox.words}", UNSUPPORTED)
            require(self._bare, f"no isolation, and this node runs nothing without: {self._sandbox.words}", UNSUPPORTED)
        require(self._network or not asked.network, "the owner of this node does not allow the network", DENIED)

    async def _execute(self, asked: CommandInput, staged: Staged, timeout_s: float) -> Outcome:
        try:
            return await self._sandbox.run(
                asked.argv,
                staged.inputs,
                timeout_s=max(timeout_s, 0.0),
                bounds=Bounds(asked.memory_bytes, asked.cpu_seconds, asked.output_bytes),
                environment=asked.env,
                stdin=staged.stdin,
                network=asked.network,
            )
        except OSError as error:  # the host has no process, descriptor or memory left
            raise QuorateError(EXECUTION, f"the node could not start it: {error.strerror}") from error


def _answer(outcome: Outcome, asked: CommandInput, spec: TaskSpec, box: Box) -> Result:
    code, head = _verdict(outcome, asked, spec)
    output = outcome.stdout if code == OK else b""
    usage = (outcome.wall_ms, outcome.cpu_ms, outcome.peak_kib, len(output))
    return box.result(code, output, usage, _cut(head + outcome.stderr.decode("utf-8", "replace"), keep=len(head)))


def _verdict(outcome: Outcome, asked: CommandInput, spec: TaskSpec) -> tuple[int, str]:
    """The code, and what to say before the task's own words."""
    match outcome.ended:
        case Ended.TIMED_OUT:
            return TIMEOUT, f"killed after {spec.timeout_ms} ms\n"
        case Ended.FLOODED:
            return (
                TOO_LARGE,
                f"killed: it wrote more than {asked.output_bytes} bytes, or to stderr {SANDBOX_OUTPUT_BYTES}\n",
            )
        case Ended.MEMORY:
            return EXECUTION, f"killed: it held more than {asked.memory_bytes} bytes of memory\n"
    if outcome.status == 0:
        return OK, ""
    return EXECUTION, f"exit status {outcome.status}{_signal_name(outcome.status)}\n"


def _signal_name(status: int) -> str:
    try:
        return f" ({signal.Signals(status - 128).name})" if status > 128 else ""
    except ValueError:
        return ""


def _cut(words: str, keep: int = 0) -> str:
    """At most `TASK_LOG_MAX_BYTES`: the first `keep` characters (ASCII) and the end of the rest."""
    head, tail = words[:keep], words[keep:].encode("utf-8", "replace")
    return head + tail[-(TASK_LOG_MAX_BYTES - len(head)) :].decode("utf-8", "ignore")
