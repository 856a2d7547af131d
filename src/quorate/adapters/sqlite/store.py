"""The embedded store: journal and read model of one realm in one SQLite file, behind the `Store` port.

Knows which connection and thread does what; nothing of what an event or a row means. A writer commits,
syncs and checkpoints in its own thread, so the loop never waits for the disk; a scanner reads long things
in another; a reader on the loop's own thread serves the cheap synchronous reads.

Invariants: J1 a group is on disk whole or not at all, and on disk before `commit` returns. J2 readers see
committed state only. J3 one process a directory, and in it one epoch that writes. J4 after a failed write
nothing is written any more: the process ends and opens the file again.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from quorate.adapters.private_files import private_directory
from quorate.adapters.sqlite.failures import reporting
from quorate.adapters.sqlite.groups import measure, read_size, write_group, write_saves
from quorate.adapters.sqlite.lock import DirectoryLock
from quorate.adapters.sqlite.rows import read_counts, read_row, read_rows
from quorate.adapters.sqlite.scanner import Scanner
from quorate.adapters.sqlite.schema import PAGE_BYTES, connect_reader, connect_writer, create_file, read_meta
from quorate.adapters.sqlite.writer import Writer
from quorate.base.errors import CONFLICT, DATABASE, QuorateError, require
from quorate.base.ids import hash_id
from quorate.model import Id, Row, Save, Sealed
from quorate.ports import Group, RowFilter

T = TypeVar("T")
Observe = Callable[[float, int], None]
"""observe(seconds that the sync took, events in the group): on the loop's thread, after each commit."""

DATABASE_FILE = "quorate.sqlite"
LOCK_FILE = "coordinator.lock"


class SqliteStore:
    """A data directory, open. Made by `open`; the synchronous reads belong to the loop's thread."""

    def __init__(self, taken: "_Taken", observe: Observe | None) -> None:
        self.path = taken.path
        self.last_group_events = 0
        self._lock = taken.lock
        self._observe = observe
        self._writer = Writer(taken.writer)
        self._scanner = Scanner(taken.scanner)
        self._reader = taken.reader
        self._closed = False

    @classmethod
    async def open(cls, directory: Path, *, realm: bytes = b"", observe: Observe | None = None) -> "SqliteStore":
        """Open or create the store in `directory`, and settle what a crash left. `realm`: see `bind_realm`.

        Raises 1006 when it is in use or another realm's, 1003 when any user may write there, 1008 when it
        is newer than this program, 2000 when the disk or the file is no good."""
        with reporting(f"cannot open the store in {directory}"):
            store = cls(await asyncio.to_thread(_take, directory), observe)
        try:
            if realm:
                await store.bind_realm(realm)
        except BaseException:
            await store.close()
            raise
        return store

    @property
    def broken(self) -> QuorateError | None:
        """Why nothing is written any more; None while all is well."""
        return self._writer.broken

    @property
    def last_commit_seconds(self) -> float:
        """How long the last transaction took, its sync included."""
        return self._writer.commit_seconds

    @property
    def last_sync_seconds(self) -> float:
        """How long the last transaction took to reach the disk."""
        return self._writer.sync_seconds

    @property
    def file_bytes(self) -> int:
        """Database and write-ahead log on disk."""
        log = self.path.with_name(f"{self.path.name}-wal")
        return self.path.stat().st_size + (log.stat().st_size if log.exists() else 0)

    @property
    def realm(self) -> bytes:
        """The realm that this directory belongs to, empty while none is bound."""
        found = self._read(lambda db: read_meta(db, "realm"))
        return found if isinstance(found, bytes) else b""

    async def bind_realm(self, realm: bytes) -> None:
        """Make this the directory of `realm`. Raises 1006 when it is another's."""

        def bind(db: sqlite3.Connection) -> None:
            found = read_meta(db, "realm")
            if isinstance(found, bytes) and found not in (b"", realm):
                where = f"{self.path.parent} belongs to realm {found.hex()}"
                raise QuorateError(CONFLICT, where, "Choose another data directory")
            db.execute("UPDATE meta SET value = ? WHERE name = 'realm'", (realm,))

        await self._writer.run(bind)

    async def open_epoch(self) -> int:
        """Fence off every earlier writer; the new epoch, durable."""

        def advance(db: sqlite3.Connection) -> int:
            db.execute("UPDATE meta SET value = value + 1 WHERE name = 'epoch'")
            return int(str(read_meta(db, "epoch")))

        return await self._writer.run(advance)

    async def append(self, batch: Sequence[Sealed], epoch: int, expect: int) -> int:
        """Write events alone. The last position. Raises as `commit`."""
        return await self.commit(Group(events=tuple(batch)), epoch, expect)

    async def commit(self, group: Group, epoch: int, expect: int) -> int:
        """Write a group in one transaction, synced. The last position.

        Raises 1006 when `epoch` is not the newest, `expect` not the size, or an event is there already, and
        1007 when the group is over a limit (nothing is written, the store goes on); 2000 when the disk fails."""
        size = measure(group)
        position = await self._writer.run(lambda db: write_group(db, group, epoch, expect))
        self.last_group_events = len(group.events)
        if self._observe is not None:
            self._observe(self._writer.sync_seconds, len(group.events))
        # A random key touches a page of its own in each index.
        self._writer.wrote(size // PAGE_BYTES + len(group.events) + 4 * len(group.rows) + 2 * len(group.keeps))
        return position

    async def save(self, key: str, record: bytes) -> None:
        """Write a record alone, synced."""
        await self._writer.run(lambda db: write_saves(db, (Save(key, record),)))
        self._writer.wrote(len(record) // PAGE_BYTES)

    async def load(self, key: str) -> bytes | None:
        """A record, as it was saved last."""
        return await self._scanner.record(key)

    def read(self, after: int, limit: int) -> AsyncIterator[tuple[int, Sealed]]:
        """Events after a position, in order, at most `limit`."""
        return self._scanner.events(after, limit)

    async def backup(self, target: Path) -> None:
        """A consistent copy of the database in a new file while writing goes on. Raises 1006, 2000.

        Blobs are files of their own and are not in it."""
        await self._scanner.back_up(target)

    async def size(self) -> int:
        """The last position, 0 when empty."""
        return self._read(read_size)

    async def position_of(self, event: Id) -> int | None:
        """Where an event lies, None when it is not here."""
        found = self._read(lambda db: db.execute("SELECT position FROM events WHERE id = ?", (event,)).fetchone())
        return None if found is None else int(found[0])

    def row(self, table: str, key: bytes) -> Row | None:
        """A committed row."""
        return self._read(lambda db: read_row(db, table, key))

    def rows(self, table: str, where: RowFilter) -> list[tuple[bytes, Row]]:
        """Committed rows, newest first. Raises 1002 for a page or an order out of range."""
        return self._read(lambda db: read_rows(db, table, where))

    def counts(self, table: str) -> dict[str, int]:
        """Committed rows by state; a state without rows is absent."""
        return self._read(lambda db: read_counts(db, table))

    def kept(self, id: Id) -> bytes | None:
        """A small blob kept beside the events. Raises 2000 when it is damaged."""
        found = self._read(lambda db: db.execute("SELECT data FROM kept WHERE id = ?", (id,)).fetchone())
        if found is None:
            return None
        data = bytes(found[0])
        require(hash_id(data) == id, f"the kept blob {id.hex()} is damaged", DATABASE)
        return data

    async def close(self) -> None:
        """Let queued writes end, then give the directory free. Later writes and reads raise 2000."""
        if self._closed:
            return
        self._closed = True
        self._reader.close()
        try:
            await self._scanner.close()
            await self._writer.close()
        finally:
            self._lock.release()

    def _read(self, read: Callable[[sqlite3.Connection], T]) -> T:
        with reporting("cannot read the store"):
            return read(self._reader)


@dataclass(frozen=True, slots=True)
class _Taken:
    """A locked directory and the connections to its database."""

    path: Path
    lock: DirectoryLock
    writer: sqlite3.Connection
    scanner: sqlite3.Connection
    reader: sqlite3.Connection


def _take(directory: Path) -> _Taken:
    private_directory(directory)
    path = directory / DATABASE_FILE
    with ExitStack() as undo:
        lock = DirectoryLock(directory / LOCK_FILE)
        undo.callback(lock.release)
        create_file(path)
        opened = []
        for connect in (connect_writer, connect_reader, connect_reader):
            opened.append(connect(path))
            undo.callback(opened[-1].close)
        undo.pop_all()
    writer, scanner, reader = opened
    return _Taken(path, lock, writer, scanner, reader)
