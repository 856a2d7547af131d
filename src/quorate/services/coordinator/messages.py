"""What goes into the coordinator's machine: things that happened, and the commands that people ask for.

Effects that only this service has are here too: a driver answers each with one of the events.
"""

from typing import Any

from msgspec import Struct

from quorate.model import Id, Principal, Receipt, Sealed, TaskSpec
from quorate.services.links import Arrived, LinkClosed, LinkOpened, Ticked


class Asked(Struct, frozen=True):
    """Someone asks for a command. `right` is what the operation needs. `idem`: the caller's key, under which
    `request` (a hash of what was asked for; none: of the command) is carried out once."""

    call: int
    principal: Principal
    right: str
    command: "Command"
    idem: str = ""
    request: Id = b""


class BlobRead(Struct, frozen=True):
    """Answer to `ReadBlob`; `total` -1: there is no such blob."""

    link: bytes
    id: Id
    offset: int
    total: int
    data: bytes


class BlobStored(Struct, frozen=True):
    """Answer to the last `StorePart` of a blob: durable (0) or refused."""

    link: bytes
    id: Id
    code: int


class TileRead(Struct, frozen=True):
    """Answer to `ReadTile`: the ids of its events."""

    tile: int
    leaves: tuple[Id, ...]


class Closing(Struct, frozen=True):
    """The group closes: decide what follows, sign, and say which rows changed. `snapshot`: save one."""

    snapshot: bool = False


class ReadBlob(Struct, frozen=True):
    """Effect: read a part of a blob for a node."""

    link: bytes
    id: Id
    offset: int


class StorePart(Struct, frozen=True):
    """Effect: a part of a blob that a node uploads; parts come in order."""

    link: bytes
    id: Id
    offset: int
    total: int
    data: bytes


class ReadTile(Struct, frozen=True):
    """Effect: leaves of the log's tree that are not in memory."""

    tile: int


class SubmitJob(Struct, frozen=True):
    """Ids are chosen by the caller's operation; `inputs` are small blobs, kept with the job."""

    job: bytes
    name: str
    tasks: tuple[TaskSpec, ...]
    names: tuple[str, ...]
    inputs: tuple[tuple[Id, bytes], ...] = ()


class Cancel(Struct, frozen=True):
    """`task` empty: the whole job."""

    job: bytes
    task: bytes
    reason: str


class Delete(Struct, frozen=True):
    """Cancel a task's run, if one is under way, and take the task out of the tree, if it is there."""

    task: bytes
    reason: str


class IssueGrant(Struct, frozen=True):
    token_hash: Id
    role: str
    expires_ms: int
    label: str
    once: bool = False
    key: bytes = b""


class RevokeGrant(Struct, frozen=True):
    grant: Id


class Wish(Struct, frozen=True):
    """One change to a work node: `verb` of create, set, add, remove, count, move, tombstone."""

    verb: str
    subject: bytes
    args: tuple[Any, ...] = ()


class WriteWork(Struct, frozen=True):
    """Changes to work nodes, all or none."""

    wishes: tuple[Wish, ...]


class Write(Struct, frozen=True):
    """One event of a kind that folds by itself (a note, a pack's kind)."""

    kind: str
    subject: bytes
    body: Struct
    deps: tuple[Id, ...] = ()


class Offer(Struct, frozen=True):
    """Events that other actors signed."""

    events: tuple[Sealed, ...]


class SetNode(Struct, frozen=True):
    """Take a node out of service (`draining`) or put it back (`online`)."""

    node: bytes
    state: str
    reason: str


Command = SubmitJob | Cancel | Delete | IssueGrant | RevokeGrant | WriteWork | Write | Offer | SetNode
Event = LinkOpened | LinkClosed | Arrived | Asked | BlobRead | BlobStored | TileRead | Ticked | Closing


class Written(Struct, frozen=True, array_like=True):
    """The reply to a command: a receipt for each event it wrote itself."""

    receipts: tuple[Receipt, ...]
