"""What is asked for, who does it, and what came of it."""

from enum import StrEnum

from msgspec import Struct

from quorate.model.events import Id


class TaskState(StrEnum):
    """The one enum of task states; faces map theirs onto it."""

    QUEUED = "queued"
    ASSIGNED = "assigned"
    EXECUTING = "executing"
    VALIDATING = "validating"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED})


class TaskSpec(Struct, frozen=True, array_like=True):
    """One task. `input` names a blob; `needs` are capabilities a node must have; `deps` task ids of the same job."""

    id: bytes
    executor: str
    input: Id
    deps: tuple[bytes, ...] = ()
    needs: tuple[str, ...] = ()
    replicas: int = 1
    quorum: int = 1
    validator: str = "exact"
    timeout_ms: int = 60_000
    retries: int = 2
    budget: int = 0
    idem: str = ""


class Lease(Struct, frozen=True, array_like=True):
    """A node's right to answer for one slot of a task. A higher epoch fences off a lower one."""

    task: bytes
    slot: int
    epoch: int
    node: bytes
    expires_ns: int


class Result(Struct, frozen=True, array_like=True):
    """A node's signed answer. `code` 0: `output` is the id of its bytes. `usage`: wall ms, CPU ms, peak KiB, bytes."""

    task: bytes
    slot: int
    epoch: int
    node: bytes
    code: int
    output: Id
    usage: tuple[int, ...]
    sig: bytes


class Attempt(Struct, frozen=True, array_like=True):
    """How one lease ended, kept with the task whatever becomes of it. `code` -1: still running."""

    slot: int
    epoch: int
    node: bytes
    leased_ns: int
    ended_ns: int
    code: int
    reason: str


class Certificate(Struct, frozen=True, array_like=True):
    """A decision of an agreement with the votes that prove it."""

    instance: Id
    config: int
    view: int
    value: bytes
    votes: tuple[bytes, ...]
    tolerates: int
