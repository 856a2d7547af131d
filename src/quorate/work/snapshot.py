"""The form of the tree on disk: everything sorted, so that equal state gives equal bytes.

Knows only the form. What is not in it (indexes, heads, dots) is folded again from the entries.
"""

from msgspec import Struct

from quorate.base.codec import pack, unpack
from quorate.model.events import Id
from quorate.work.entries import BODIES, KIND_OF, Entry


class Kept(Struct, frozen=True, array_like=True, gc=False):
    """An entry with its body packed: the kind says what it is."""

    id: Id
    kind: str
    subject: bytes
    actor: bytes
    seq: int
    hlc: int
    deps: tuple[Id, ...]
    body: bytes
    position: int | None


class Settled(Struct, frozen=True, array_like=True):
    """What a node keeps of events that were let go of: their newest clock, and the sums they left."""

    subject: bytes
    hlc: int
    counters: tuple[tuple[str, int], ...]


class Snapshot(Struct, frozen=True, array_like=True):
    """A whole tree of work."""

    version: int
    settled: int
    horizon: int
    entries: tuple[Kept, ...]
    parked: tuple[Kept, ...]
    void: tuple[tuple[Id, Kept | None], ...]
    frontier: tuple[tuple[bytes, int], ...]
    bases: tuple[Settled, ...]
    parents: tuple[tuple[bytes, bytes], ...]


VERSION = 1


def kept(entry: Entry) -> Kept:
    return Kept(
        entry.id,
        KIND_OF[type(entry.body)],
        entry.subject,
        entry.actor,
        entry.seq,
        entry.hlc,
        entry.deps,
        pack(entry.body),
        entry.position,
    )


def entry(kept: Kept) -> Entry:
    body = unpack(kept.body, BODIES[kept.kind])
    return Entry(kept.id, kept.subject, kept.actor, kept.seq, kept.hlc, kept.deps, body, kept.position)
