"""Fault drills: executors that misbehave on purpose, so that one can watch a swarm catch them.

Only for nodes started as a drill (`quorate node --drill lie=333`). What they send is validly signed and well formed:
nothing but the comparison with other nodes tells it from an honest answer. Which tasks are hit depends on the task and
the seed alone, so that a drill can be repeated; two liars with different seeds do not agree with each other.
"""

import asyncio
from pathlib import Path

from quorate.base.errors import OK, require
from quorate.base.ids import hash_id
from quorate.model import Id, Lease, Result, TaskSpec
from quorate.ports import Box, Executor

PER_MILLE = 1000


class _Drill:
    """An executor wrapped, and the share of tasks (per mille) that it is not itself for."""

    def __init__(self, inner: Executor, share: int, seed: int) -> None:
        require(0 <= share <= PER_MILLE, f"a share is 0 to {PER_MILLE} per mille, not {share}")
        self._inner = inner
        self._share = share
        self._seed = seed
        self.name = inner.name
        self.deterministic = inner.deterministic

    def capabilities(self) -> tuple[str, ...]:
        return self._inner.capabilities()

    def hits(self, task: bytes) -> bool:
        """Is this one of the tasks?"""
        return int.from_bytes(self._dice(b"hit", task)[:8], "big") % PER_MILLE < self._share

    def _dice(self, purpose: bytes, task: bytes) -> bytes:
        return hash_id(b"quorate drill %s %d " % (purpose, self._seed) + task)


class Liar(_Drill):
    """Alters the successful output of its share of tasks and signs it as its own."""

    async def run(self, spec: TaskSpec, lease: Lease, box: Box) -> Result:
        lies = self.hits(spec.id)
        return await self._inner.run(spec, lease, _LyingBox(box, self._dice(b"how", spec.id)) if lies else box)


class Sleepy(_Drill):
    """Takes its share of tasks and never answers; the others it does."""

    async def run(self, spec: TaskSpec, lease: Lease, box: Box) -> Result:
        if self.hits(spec.id):
            await asyncio.Event().wait()  # until cancelled
        return await self._inner.run(spec, lease, box)


class _LyingBox:
    """A box whose pen writes something else than it was told."""

    def __init__(self, box: Box, dice: bytes) -> None:
        self._box = box
        self._dice = dice

    @property
    def deps(self) -> tuple[tuple[str, Id], ...]:
        return self._box.deps

    async def input(self) -> bytes:
        return await self._box.input()

    async def blob(self, id: Id) -> bytes:
        return await self._box.blob(id)

    def scratch(self) -> Path:
        return self._box.scratch()

    def result(self, code: int, output: bytes, usage: tuple[int, ...] = (), words: str = "") -> Result:
        return self._box.result(code, altered(output, self._dice) if code == OK else output, usage, words)


def altered(output: bytes, dice: bytes) -> bytes:
    """Other bytes of the same size (an empty output grows): plausible at a glance, and different for other dice."""
    if not output:
        return dice[:8].hex().encode()
    place = int.from_bytes(dice[:8], "big") % len(output)
    wrong = output[place] ^ (1 + dice[8] % 127)
    return output[:place] + bytes((wrong,)) + output[place + 1 :]
