"""The run state of tasks and jobs: plain records, and what can be read off one of them alone.

Knows no queues, nodes' capabilities or time. Everything here is part of a snapshot, and is changed by
`fold` only. Invariants: D1 one live lease a slot; epochs of a slot only rise. D2 one vote a node and one
a slot. D3 the nodes that hold live leases of a task differ from each other and from its voters. D4 a
terminal state never changes.
"""

from msgspec import Struct, field

from quorate.base.ids import NO_ID
from quorate.base.limits import REPLICAS_MAX
from quorate.model import TERMINAL, Id, Lease, Result, TaskSpec, TaskState

RUNNING = -1
"""Code of an attempt that has not ended."""


class Slot(Struct, array_like=True, gc=False):
    """One replica's place. `answered`: its vote is in; `lost`: its last lease ended without any answer."""

    epoch: int = 0
    ready_ns: int = 0
    live: bool = False
    answered: bool = False
    lost: bool = False


class Held(Struct, array_like=True, gc=False):
    """One lease and how it ended. `answered`: a result came for it, on time or late; `output` and `usage` are its."""

    slot: int
    epoch: int
    node: bytes
    leased_ns: int
    expires_ns: int
    ended_ns: int = 0
    code: int = RUNNING
    reason: str = ""
    answered: bool = False
    output: Id = NO_ID
    usage: tuple[int, ...] = ()


class Doom(Struct, frozen=True, array_like=True, gc=False):
    """A task's end that is certain but not yet written. `position`: of the event that sealed it."""

    state: TaskState
    code: int
    reason: str
    position: int


class Run(Struct, array_like=True, gc=False):
    """One task on its way. `order` is where it was submitted: event position << 10 | index in the event.

    `votes` are keys of validated results by node; `results` the signed ones, kept until the task settles.
    `avoided`: nodes whose lease ended badly (True: they failed, False: they were lost or handed it back).
    """

    spec: TaskSpec
    name: str
    job: bytes
    order: int
    created_ns: int
    waits_for: int
    state: TaskState = TaskState.QUEUED
    ready_at: int = 0
    slots: list[Slot] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    live: dict[bytes, int] = field(default_factory=dict)
    votes: dict[bytes, bytes] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    avoided: dict[bytes, bool] = field(default_factory=dict)
    failures: int = 0
    lost: int = 0
    started_ns: int = 0
    stalled_ns: int = 0
    ended_ns: int = 0
    code: int = 0
    reason: str = ""
    output: bytes = b""
    key: bytes = b""
    settled_at: int = 0
    doom: Doom | None = None

    @property
    def over(self) -> bool:
        return self.state in TERMINAL

    @property
    def fresh(self) -> bool:
        """Never leased: no node is ruled out for it."""
        return not self.held

    def attempt(self, slot: int, epoch: int) -> Held | None:
        """The lease of that slot and epoch, while it is remembered."""
        for held in reversed(self.held):
            if held.slot == slot and held.epoch == epoch:
                return held
        return None

    def lease(self, held: Held) -> Lease:
        return Lease(self.spec.id, held.slot, held.epoch, held.node, held.expires_ns)

    def standing(self) -> tuple[int, int]:
        """Votes in the largest group, and in the second largest."""
        if len(self.votes) < 2:
            return len(self.votes), 0
        sizes = sorted(group_sizes(self.votes).values(), reverse=True)
        return sizes[0], sizes[1] if len(sizes) > 1 else 0

    def wanted(self) -> int:
        """Slots that it takes until the votes can agree: each disagreement asks for further nodes."""
        top, second = self.standing()
        short = self.spec.quorum + second - top
        return min(REPLICAS_MAX, max(self.spec.replicas, len(self.votes) + short))

    def busy(self) -> int:
        """Live leases that can still bring a vote."""
        return sum(slot.live and not slot.answered for slot in self.slots)

    def open_slots(self) -> list[int]:
        """Slots to lease, those not yet begun at the end (`len(slots)` and on)."""
        if not self.slots:
            return list(range(self.spec.replicas))
        need = self.wanted() - len(self.votes) - self.busy()
        if need <= 0:
            return []
        begun = [index for index, slot in enumerate(self.slots) if not slot.live and not slot.answered]
        more = len(self.slots) + need - len(begun)
        return begun[:need] + list(range(len(self.slots), more))

    def ready_ns(self, slot: int) -> int:
        """When a slot may be leased: at once, or after the backoff of its last failure."""
        return self.slots[slot].ready_ns if slot < len(self.slots) else 0


class Job(Struct, array_like=True, gc=False):
    """A job with its runs, in the order submitted. `tally` counts them by state; `leases` are out."""

    id: bytes
    name: str
    owner: str
    total: int
    created_ns: int
    order: int
    runs: dict[bytes, Run] = field(default_factory=dict)
    queued: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    leases: int = 0
    ended_ns: int = 0

    @property
    def over(self) -> bool:
        return self.completed + self.failed + self.cancelled == self.total

    @property
    def state(self) -> str:
        """`running`; then `failed` if any task failed, `cancelled` if any was, else `completed`."""
        if not self.over:
            return "running"
        return "failed" if self.failed else "cancelled" if self.cancelled else "completed"

    def moved(self, old: TaskState | None, new: TaskState) -> None:
        """Count a run's change of state."""
        if old is not None:
            setattr(self, _COLUMN[old], getattr(self, _COLUMN[old]) - 1)
        setattr(self, _COLUMN[new], getattr(self, _COLUMN[new]) + 1)


_COLUMN = {
    TaskState.QUEUED: "queued",
    TaskState.ASSIGNED: "running",
    TaskState.EXECUTING: "running",
    TaskState.VALIDATING: "running",
    TaskState.COMPLETED: "completed",
    TaskState.FAILED: "failed",
    TaskState.CANCELLED: "cancelled",
}


def group_sizes(votes: dict[bytes, bytes]) -> dict[bytes, int]:
    """How many nodes voted for each key."""
    sizes: dict[bytes, int] = {}
    for key in votes.values():
        sizes[key] = sizes.get(key, 0) + 1
    return sizes
