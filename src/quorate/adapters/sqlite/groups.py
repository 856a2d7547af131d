"""Writing a group inside a transaction.

Knows the tables `events`, `kept` and `records`, and the fence; nothing of transactions or threads.
Invariants: G1 only the newest epoch writes. G2 positions are dense from 1. G3 an event is there once.
"""

import sqlite3
from collections.abc import Sequence

from quorate.adapters.sqlite.rows import write_rows
from quorate.adapters.sqlite.schema import read_meta
from quorate.base.errors import CONFLICT, TOO_LARGE, QuorateError, invariant, require
from quorate.base.ids import hash_id
from quorate.base.limits import GROUP_BYTES_MAX, GROUP_EVENTS_MAX
from quorate.model import Keep, Save
from quorate.ports import Group

_LAST = "SELECT coalesce(max(position), 0) FROM events"
_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)"
_KEEP = "INSERT INTO kept VALUES (?, ?) ON CONFLICT (id) DO NOTHING"
_SAVE = "INSERT INTO records VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET record = excluded.record"


def measure(group: Group) -> int:
    """Bytes of a group's events and blobs. Raises 1007 over the limits."""
    require(len(group.events) <= GROUP_EVENTS_MAX, f"more than {GROUP_EVENTS_MAX} events in a group", TOO_LARGE)
    size = sum(len(event.head) + len(event.body or b"") for event in group.events)
    size += sum(len(keep.data) for keep in group.keeps)
    require(size <= GROUP_BYTES_MAX, f"more than {GROUP_BYTES_MAX} bytes in a group", TOO_LARGE)
    return size


def write_group(db: sqlite3.Connection, group: Group, epoch: int, expect: int) -> int:
    """Everything of a group; the last position. Raises 1006."""
    newest = read_meta(db, "epoch")
    if epoch != newest or epoch < 1:
        raise QuorateError(
            CONFLICT, f"epoch {epoch} may not write: the log is at epoch {newest}", "Another coordinator took over"
        )
    size = read_size(db)
    if expect != size:
        raise QuorateError(CONFLICT, f"the log holds {size} events, not {expect}", "Read the log again")
    try:
        db.executemany(
            _EVENT,
            [
                (position, hash_id(event.head), event.head, event.salt, event.body, event.sig)
                for position, event in enumerate(group.events, expect + 1)
            ],
        )
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            raise
        raise QuorateError(CONFLICT, "an event of the group is in the log already", "Look up its position") from error
    write_keeps(db, group.keeps)
    write_saves(db, group.saves)
    write_rows(db, group.rows)
    return expect + len(group.events)


def read_size(db: sqlite3.Connection) -> int:
    """The last position, 0 when empty."""
    return int(db.execute(_LAST).fetchone()[0])


def write_keeps(db: sqlite3.Connection, keeps: Sequence[Keep]) -> None:
    for keep in keeps:
        invariant(hash_id(keep.data) == keep.id, "a kept blob is kept under its hash")
    db.executemany(_KEEP, [(keep.id, keep.data) for keep in keeps])


def write_saves(db: sqlite3.Connection, saves: Sequence[Save]) -> None:
    db.executemany(_SAVE, [(save.key, save.record) for save in saves])
