"""Bodies of the event kinds that Quorate itself owns. One room owns a kind (see `KINDS`)."""

from msgspec import Struct

from quorate.model.events import Id
from quorate.model.tasks import Lease, Result, TaskSpec


class RealmFounded(Struct, frozen=True, array_like=True):
    """First event of a realm: its id is the hash of (authority, nonce), 16 bytes."""

    authority: bytes
    nonce: bytes
    name: str


class GrantIssued(Struct, frozen=True, array_like=True):
    """Rights for a key, or for whoever shows the token with this hash (BLAKE3). `once`: the token admits one key."""

    key: bytes
    token_hash: Id
    role: str
    rights: tuple[str, ...]
    expires_ms: int
    label: str
    once: bool = False


class GrantRevoked(Struct, frozen=True, array_like=True):
    grant: Id
    frontier: tuple[tuple[bytes, int], ...]


class NodeJoined(Struct, frozen=True, array_like=True):
    """A key became a node. `join` is the grant whose token it used up, `grant` its own."""

    node: bytes
    name: str
    join: Id
    capabilities: tuple[str, ...]
    slots: int


class NodeChanged(Struct, frozen=True, array_like=True):
    """`online`, `offline` (heartbeats missed or link lost), `draining`."""

    node: bytes
    state: str
    reason: str


class JobSubmitted(Struct, frozen=True, array_like=True):
    """A job, or a further chunk of one: chunks of one job are in one batch. `names` go with `tasks`."""

    job: bytes
    name: str
    total: int
    first: int
    tasks: tuple[TaskSpec, ...]
    names: tuple[str, ...]
    idem: str = ""
    owner: str = ""


class LeasesGranted(Struct, frozen=True, array_like=True):
    leases: tuple[Lease, ...]


class LeasesEnded(Struct, frozen=True, array_like=True):
    """Leases that ended without a result: (task, slot, epoch, code), and why."""

    ended: tuple[tuple[bytes, int, int, int], ...]
    reason: str


class ResultsReceived(Struct, frozen=True, array_like=True):
    """Results that did not settle their task at once. `reasons` go with `results`: a failure's last words."""

    results: tuple[Result, ...]
    reasons: tuple[str, ...]


class TaskSettled(Struct, frozen=True, array_like=True):
    """The end of a task. `agreed` are the signed results that made the quorum, `dissent` those that differed."""

    task: bytes
    job: bytes
    spec_hash: Id
    state: str
    code: int
    output: Id
    quorum: int
    agreed: tuple[Result, ...]
    dissent: tuple[Result, ...]
    reason: str


class JobCancelled(Struct, frozen=True, array_like=True):
    """`task` empty: the whole job."""

    job: bytes
    task: bytes
    reason: str


class WorkCreated(Struct, frozen=True, array_like=True):
    kind: str
    title: str
    parent: bytes


class WorkSet(Struct, frozen=True, array_like=True):
    """A register written; `deps` of the event name the writes this one replaces. `value` is JSON."""

    field: str
    value: bytes


class WorkAdded(Struct, frozen=True, array_like=True):
    """An item into an observed-remove set; the event's id is its dot."""

    field: str
    item: str


class WorkRemoved(Struct, frozen=True, array_like=True):
    """An item out of a set; `deps` of the event name the dots removed."""

    field: str
    item: str


class WorkCounted(Struct, frozen=True, array_like=True):
    field: str
    by: int


class WorkMoved(Struct, frozen=True, array_like=True):
    parent: bytes


class WorkTombstoned(Struct, frozen=True, array_like=True):
    reason: str


class Noted(Struct, frozen=True, array_like=True):
    """A user's own event: any JSON, kept and fanned out, folded by nothing."""

    type: str
    data: bytes


KINDS: dict[str, tuple[type[Struct], str, bool]] = {
    # kind: (body, room that owns it, authority only)
    "realm.founded": (RealmFounded, "security", True),
    "grant.issued": (GrantIssued, "security", True),
    "grant.revoked": (GrantRevoked, "security", True),
    "node.joined": (NodeJoined, "security", True),
    "node.changed": (NodeChanged, "security", True),
    "job.submitted": (JobSubmitted, "dispatch", True),
    "job.cancelled": (JobCancelled, "dispatch", True),
    "lease.granted": (LeasesGranted, "dispatch", True),
    "lease.ended": (LeasesEnded, "dispatch", True),
    "task.answered": (ResultsReceived, "dispatch", True),
    "task.settled": (TaskSettled, "dispatch", True),
    "work.created": (WorkCreated, "work", False),
    "work.set": (WorkSet, "work", False),
    "work.added": (WorkAdded, "work", False),
    "work.removed": (WorkRemoved, "work", False),
    "work.counted": (WorkCounted, "work", False),
    "work.moved": (WorkMoved, "work", False),
    "work.tombstoned": (WorkTombstoned, "work", False),
    "note": (Noted, "work", False),
}
