"""The event and what surrounds it. Frozen; a field is added only by a decision record, with a version."""

from msgspec import Struct

Id = bytes


class Event(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What an actor signs. `Id` of an event is the hash of these bytes as received."""

    v: int
    realm: bytes
    actor: bytes
    seq: int
    prev: Id
    hlc: int
    deps: tuple[Id, ...]
    grant: Id
    kind: str
    subject: bytes
    body_hash: Id


class Sealed(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An event as it travels and lies on disk. `sig` None: covered by a later event of its chain in the batch."""

    head: bytes
    salt: bytes
    body: bytes | None
    sig: bytes | None


Draft = Sealed
"""An event that is sealed but not yet signed: the last of a batch is signed when the group closes."""


class Receipt(Struct, frozen=True, array_like=True):
    """The authority's answer to an event. `code` 0 is admitted."""

    log: bytes
    epoch: int
    position: int
    event: Id
    code: int


class Cursor(Struct, frozen=True, array_like=True):
    """Where a reader of a log is. Text form: `<log hex>.<position>`."""

    log: bytes
    position: int


class Revoked(Struct, frozen=True, array_like=True):
    """A grant withdrawn; events of its actors count up to `frontier` (actor, last valid seq)."""

    grant: Id
    frontier: tuple[tuple[bytes, int], ...]


class LogHead(Struct, frozen=True, array_like=True):
    """One log at one size. Positions 1..size are leaves 0..size-1."""

    log: bytes
    epoch: int
    size: int
    root: Id


class SignedHead(Struct, frozen=True, array_like=True):
    """The signed map of heads: one entry a log, the authority's signature, cosignatures of nodes by key."""

    realm: bytes
    heads: tuple[LogHead, ...]
    signer: bytes
    sig: bytes
    cosigned: tuple[tuple[bytes, bytes], ...] = ()
