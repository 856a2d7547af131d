"""Virtual executors: they take virtual time; an honest output is a pure function of what goes in.

`expected` is that function: a checker computes the only right output of a task from its input and the
outputs of its dependencies.
"""

import asyncio
import contextlib
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec
from blake3 import blake3

from quorate.base.codec import pack
from quorate.base.dice import Dice
from quorate.base.errors import EXECUTION
from quorate.base.ids import hash_id
from quorate.base.limits import INLINE_MAX_BYTES
from quorate.model import Id, Lease, Result, TaskSpec
from quorate.model.link import Answer
from quorate.ports import Box

EXECUTOR = "virtual"
USAGE = (1, 1, 1, 1)
LARGE_FROM = 250
LARGE_BYTES = INLINE_MAX_BYTES + 1_000


class Conduct(StrEnum):
    """How a node answers: honestly, clumsily, not at all, or with a lie."""

    HONEST = "honest"
    SLOW = "slow"  # honest, ten times as long
    FAILING = "failing"  # honest, but a program of its own fails now and then
    RAISING = "raising"  # the executor breaks now and then
    ALTERED = "altered"  # another output, the same each time
    RANDOM = "random"  # another output each time
    CLAIMS_FAILURE = "claims_failure"  # says that the task failed
    FORGED = "forged"  # an altered output under a signature that does not hold
    IMPERSONATING = "impersonating"  # an altered output in the name of another node
    STALE = "stale"  # answers for an epoch that it has no lease of
    SILENT = "silent"  # takes the lease and never answers
    REFUSING = "refusing"  # says that it is free, and hands every lease back at once


CLUMSY = (Conduct.SLOW, Conduct.FAILING, Conduct.RAISING)
USELESS = (Conduct.SILENT, Conduct.REFUSING)
LIARS = (
    Conduct.ALTERED,
    Conduct.RANDOM,
    Conduct.CLAIMS_FAILURE,
    Conduct.FORGED,
    Conduct.IMPERSONATING,
    Conduct.STALE,
)


def expected(input: bytes, deps: tuple[Id, ...]) -> bytes:
    """The right output. The input's first byte says how long: in units of 8 bytes, or too long to travel inline."""
    first = input[0] if input else 0
    size = LARGE_BYTES if first >= LARGE_FROM else 8 * (1 + first)
    return blake3(pack((input, deps)), derive_key_context="quorate sim output 1").digest(length=size)


def expected_id(input: bytes, deps: tuple[Id, ...]) -> Id:
    return hash_id(expected(input, deps))


class VirtualExecutor:
    """`ports.Executor`. `others` gives the keys that an impersonator may use."""

    name = EXECUTOR
    deterministic = True

    def __init__(
        self,
        conduct: Conduct,
        dice: Dice,
        task_ms: float,
        others: Callable[[], list[bytes]],
        on_lie: Callable[[Answer | None], None],
    ) -> None:
        self.conduct = conduct
        self._dice = dice
        self._task_ms = task_ms
        self._others = others
        self._on_lie = on_lie
        self.running = 0

    def capabilities(self) -> tuple[str, ...]:
        return ("virtual",)

    async def run(self, spec: TaskSpec, lease: Lease, box: Box) -> Result:
        self.running += 1
        try:
            return await self._run(lease, box)
        finally:
            self.running -= 1

    async def _run(self, lease: Lease, box: Box) -> Result:
        input = await box.input()
        slow = 10 if self.conduct is Conduct.SLOW else 1
        await asyncio.sleep(slow * self._task_ms * self._dice.lognormvariate(0.0, 0.5) / 1000)
        right = expected(input, tuple(output for _, output in box.deps))
        if self.conduct in (Conduct.HONEST, Conduct.SLOW):
            return box.result(0, right, USAGE)
        if self.conduct is Conduct.SILENT:
            await _deaf_to_the_first_cancellation()
        if self.conduct is Conduct.FAILING and self._dice.chance(0.2):
            return box.result(EXECUTION, b"", USAGE, "the program failed")
        if self.conduct is Conduct.RAISING and self._dice.chance(0.2):
            raise OSError("the executor broke")
        if self.conduct in LIARS and self._dice.chance(0.7):
            smuggled = self._stale(right, lease, box) if self.conduct is Conduct.STALE else None
            self._on_lie(smuggled)
            return box.result(0, right, USAGE) if smuggled else self._lie(right, box)
        return box.result(0, right, USAGE)

    def _lie(self, right: bytes, box: Box) -> Result:
        if self.conduct is Conduct.RANDOM:
            return box.result(0, self._dice.randbytes(len(right)), USAGE)
        if self.conduct is Conduct.CLAIMS_FAILURE:
            return box.result(EXECUTION, b"", USAGE, "it just does not work")
        result = box.result(0, right[::-1] + b"!", USAGE)
        if self.conduct is Conduct.FORGED:
            return _resigned(box, msgspec.structs.replace(result, sig=self._dice.randbytes(64)))
        if self.conduct is Conduct.IMPERSONATING:
            return _resigned(box, msgspec.structs.replace(result, node=self._dice.choice(self._others())))
        return result

    def _stale(self, right: bytes, lease: Lease, box: Any) -> Answer:
        """A well signed answer to a lease that there never was, or is no more."""
        true = box._assignment
        other = msgspec.structs.replace(lease, epoch=lease.epoch + self._dice.choice((-1, 1)))
        box._assignment = msgspec.structs.replace(true, lease=other)
        box.result(0, right, USAGE)
        stale: Answer = box.answer
        box._assignment = true
        return stale


async def _deaf_to_the_first_cancellation() -> None:
    """Outlive the node's own timeout, so that only the lease's end brings the task back."""
    for _ in range(2):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.get_running_loop().create_future()
    raise asyncio.CancelledError


def _resigned(box: Any, result: Result) -> Result:
    """Have the node send `result` in place of what its box signed: a node that was tampered with."""
    box.answer = msgspec.structs.replace(box.answer, result=result)
    return result
