"""The scanner: long reads, in a thread of their own so that the loop goes on.

Knows batches of events, records and backups; writes nothing to the store. Each read is one short
snapshot, so that the write-ahead log can be reused soon.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from quorate.adapters.private_files import PRIVATE_FILE, sync_directory
from quorate.adapters.sqlite.failures import reporting
from quorate.base.errors import CONFLICT, DATABASE, QuorateError, require
from quorate.base.limits import READ_BATCH_BYTES, READ_BATCH_EVENTS
from quorate.model import Sealed

T = TypeVar("T")
_BATCH = "SELECT position, head, salt, body, sig FROM events WHERE position > ? ORDER BY position LIMIT ?"
_RECORD = "SELECT record FROM records WHERE key = ?"


class Scanner:
    """Owns a connection that reads, and its thread."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._thread = ThreadPoolExecutor(1, "quorate-scanner")
        self._closed = False

    async def events(self, after: int, limit: int) -> AsyncIterator[tuple[int, Sealed]]:
        """Events after a position, in order, at most `limit`; those committed when their batch is read."""
        while limit > 0:
            batch = await self._run(self._batch, after, min(limit, READ_BATCH_EVENTS))
            for entry in batch:
                yield entry
            if not batch:
                return
            after = batch[-1][0]
            limit -= len(batch)

    async def record(self, key: str) -> bytes | None:
        """A record, as it was saved last."""
        found = await self._run(lambda: self._db.execute(_RECORD, (key,)).fetchone())
        return None if found is None else bytes(found[0])

    async def back_up(self, target: Path) -> None:
        """A consistent copy in a new file, 0600, synced. Raises 1006 when `target` is there, 2000."""
        await self._run(self._copy, target)

    async def close(self) -> None:
        await self._run(self._db.close)
        self._closed = True
        self._thread.shutdown(wait=True)

    async def _run(self, read: Callable[..., T], *arguments: object) -> T:
        require(not self._closed, "the store is closed", DATABASE)

        def guarded() -> T:
            with reporting("cannot read the store"):
                return read(*arguments)

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    def _batch(self, after: int, count: int) -> list[tuple[int, Sealed]]:
        batch: list[tuple[int, Sealed]] = []
        size = 0
        cursor = self._db.execute(_BATCH, (after, count))
        try:
            for position, head, salt, body, sig in cursor:
                batch.append((position, Sealed(head, salt, body, sig)))
                size += len(head) + (len(body) if body is not None else 0)
                if size >= READ_BATCH_BYTES:
                    break
        finally:
            cursor.close()
        return batch

    def _copy(self, target: Path) -> None:
        draft = target.with_name(f".{target.name}.{os.urandom(8).hex()}")
        with reporting(f"cannot back up to {target}"):
            descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
            try:
                copy = sqlite3.connect(draft)
                try:
                    # All pages in one step: page by page, each commit meanwhile would start the copy again.
                    self._db.backup(copy, pages=-1)
                finally:
                    copy.close()
                os.fsync(descriptor)
                try:
                    os.link(draft, target)
                except FileExistsError as error:
                    raise QuorateError(CONFLICT, f"{target} is there already", "Name a new file") from error
                sync_directory(target.parent)
            finally:
                os.close(descriptor)
                draft.unlink()
