"""The read model's rows: written by groups, read by filters.

Knows the tables `projected` and `counters`; nothing of what a row means. Invariants: R1 a query that filters
by parent, owner or state walks one index in its order and stops at the limit (it asks for each state by
itself and merges); only parent and owner together filter what the index gives. R2 `counters` equals a count
of `projected` by state (triggers, in the same transaction).
"""

import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from heapq import merge
from itertools import islice

from quorate.base.errors import require
from quorate.base.limits import ROWS_READ_MAX
from quorate.model import Project, Row
from quorate.ports import RowFilter

MERGED_STATES_MAX = 32  # beyond it one sorted query is cheaper than so many merged ones
_ORDER_MAX = 2**63 - 1
_Found = tuple[bytes, bytes, str, str, int, bytes]

_UPSERT = """INSERT INTO projected (tbl, key, parent, state, owner, ord, record) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tbl, key) DO UPDATE SET parent = excluded.parent, state = excluded.state, owner = excluded.owner,
    ord = excluded.ord, record = excluded.record"""
_DELETE = "DELETE FROM projected WHERE tbl = ? AND key = ?"
_ONE = "SELECT parent, state, owner, ord, record FROM projected WHERE tbl = ? AND key = ?"
_COUNTS = "SELECT state, n FROM counters WHERE tbl = ? AND n > 0 ORDER BY state"


def write_rows(db: sqlite3.Connection, changes: Sequence[Project]) -> None:
    """Apply a group's changes, inside its transaction. Of several to one row the last counts."""
    last = {(change.table, change.key): change.row for change in changes}
    gone = [place for place, row in last.items() if row is None]
    kept = [
        (table, key, row.parent, row.state, row.owner, row.order, row.record)
        for (table, key), row in last.items()
        if row is not None
    ]
    if gone:
        db.executemany(_DELETE, gone)
    if kept:
        db.executemany(_UPSERT, kept)
    if last:
        db.execute("DELETE FROM counters WHERE n = 0")


def read_row(db: sqlite3.Connection, table: str, key: bytes) -> Row | None:
    """One row by its key."""
    found = db.execute(_ONE, (table, key)).fetchone()
    return None if found is None else Row(*found)


def read_counts(db: sqlite3.Connection, table: str) -> dict[str, int]:
    """Rows by state; states without rows are absent."""
    return dict(db.execute(_COUNTS, (table,)).fetchall())


def read_rows(db: sqlite3.Connection, table: str, where: RowFilter) -> list[tuple[bytes, Row]]:
    """A page of rows, highest order first, of equal order highest key first. Raises 1002."""
    require(0 < where.limit <= ROWS_READ_MAX, f"a page of rows holds 1 to {ROWS_READ_MAX}, not {where.limit}")
    require(0 <= where.before <= _ORDER_MAX, f"no row has order {where.before}")
    db.execute("BEGIN")  # one snapshot: a row that changes state between two queries must not be seen twice
    try:
        found = _merged(db, table, where)
    finally:
        db.execute("ROLLBACK")
    return [(key, Row(parent, state, owner, order, record)) for key, parent, state, owner, order, record in found]


def _merged(db: sqlite3.Connection, table: str, where: RowFilter) -> list[_Found]:
    present = read_counts(db, table)
    wanted = frozenset(where.states) or present.keys()
    states: list[str | None] = [state for state in present if state in wanted]
    if len(states) > MERGED_STATES_MAX and not where.states:
        states = [None]
    with ExitStack() as opened:
        pages = [opened.enter_context(closing(_page(db, table, where, state))) for state in states]
        newest_first = merge(*pages, key=lambda row: (row[4], row[0]), reverse=True)  # takes rows only as needed
        return list(islice(newest_first, where.limit))


def _page(db: sqlite3.Connection, table: str, where: RowFilter, state: str | None) -> sqlite3.Cursor:
    index = "projected_by_parent" if where.parent else "projected_by_owner" if where.owner else "projected_by_state"
    conditions = {
        "state = ?": state,
        "parent = ?": where.parent or None,
        "owner = ?": where.owner or None,
        "ord < ?": where.before or None,
    }
    used = {condition: value for condition, value in conditions.items() if value is not None}
    # Without a state the planner chooses: no index is in the order asked for.
    hint = f"INDEXED BY {index}" if state is not None else ""
    query = (
        f"SELECT key, parent, state, owner, ord, record FROM projected {hint} "  # noqa: S608 (no value is in it)
        f"WHERE {' AND '.join(['tbl = ?', *used])} ORDER BY ord DESC, key DESC LIMIT ?"
    )
    return db.execute(query, (table, *used.values(), where.limit))
