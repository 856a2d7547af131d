"""Executors and the box they run in."""

from pathlib import Path
from typing import Protocol

from quorate.model import Id, Lease, Result, TaskSpec


class Box(Protocol):
    """What an executor sees of its node: input, blobs, a place on disk, and the pen that signs the result."""

    @property
    def deps(self) -> tuple[tuple[str, Id], ...]:
        """(name, output) of each task that this one depends on, in the order of `spec.deps`."""

    async def input(self) -> bytes:
        """The task's input. Raises 1000 when the blob is gone."""

    async def blob(self, id: Id) -> bytes:
        """Any blob of the realm, whole. Raises 1000, 1007."""

    def scratch(self) -> Path:
        """An empty private directory, removed afterwards."""

    def result(self, code: int, output: bytes, usage: tuple[int, ...] = (), words: str = "") -> Result:
        """Sign the outcome. `words`: the last of the task's log, at most `TASK_LOG_MAX_BYTES`."""


class Executor(Protocol):
    """Runs tasks of one kind. `deterministic`: two honest runs give the same bytes."""

    name: str
    deterministic: bool

    def capabilities(self) -> tuple[str, ...]:
        """What a node with this executor offers, beside `executor:<name>`."""

    async def run(self, spec: TaskSpec, lease: Lease, box: Box) -> Result:
        """Run to the end; cancelled when the lease is void. A task's own failure is a result with a code."""
