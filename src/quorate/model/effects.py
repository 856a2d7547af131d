"""Effects: what a core asks its driver to do, in order. Nothing passes an unsynced barrier.

`Append`, `Save`, `Keep` and `Project` of one group go to disk in one transaction; whatever follows
the first of them waits for the sync.
"""

from msgspec import Struct

from quorate.model.events import Draft, Id
from quorate.model.tasks import Lease, TaskSpec


class Append(Struct, frozen=True):
    """Barrier: these events, on disk, in this order."""

    drafts: tuple[Draft, ...]


class Save(Struct, frozen=True):
    """Barrier: a record under a key (votes, terms, snapshots)."""

    key: str
    record: bytes


class Keep(Struct, frozen=True):
    """Barrier: a small blob that an event of this group refers to."""

    id: Id
    data: bytes


class Project(Struct, frozen=True):
    """A row of a read model, derived from this group's events: readable once they are. None deletes."""

    table: str
    key: bytes
    row: "Row | None"


class Send(Struct, frozen=True):
    """A message to a peer (its link id before it is known, its key afterwards)."""

    to: bytes
    msg_type: int
    payload: bytes


class Close(Struct, frozen=True):
    """End a link, with the reason that its log shows."""

    link: bytes
    reason: str


class Reply(Struct, frozen=True):
    """The answer to a call. `code` 0: `payload` is packed; otherwise it is the error's message."""

    call: int
    code: int
    payload: bytes


class Invoke(Struct, frozen=True):
    """Run a task here."""

    lease: Lease
    spec: TaskSpec


class Abort(Struct, frozen=True):
    """Stop a task that runs here: its lease is void."""

    lease: Lease
    reason: str


class Row(Struct, frozen=True, array_like=True):
    """A row of a read model: the columns that queries filter by, and the record they return."""

    parent: bytes
    state: str
    owner: str
    order: int
    record: bytes


Effect = Append | Save | Keep | Project | Send | Close | Reply | Invoke | Abort
