"""The writer: one connection, one thread, one transaction after the other.

Knows when bytes are on disk and what a failure of the disk means; nothing of what is written.

Invariants: W1 a transaction is on disk when `run` returns, or did not happen. W2 after a failed write
nothing is written any more: an fsync that failed once may succeed the second time without having written
what the first one lost. W3 what the caller got wrong is rolled back, and the writer goes on.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import perf_counter
from typing import TypeVar

from quorate.adapters.sqlite.failures import database_error
from quorate.base.errors import DATABASE, QuorateError

T = TypeVar("T")
CHECKPOINT_PAGES = 4096  # about 16 MiB of write-ahead log
PAGES_A_COMMIT = 6  # roots, tails and counters that even a small group rewrites


class Writer:
    """Owns the connection that writes. `run` and `close` belong to the loop."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.broken: QuorateError | None = None
        self.commit_seconds = 0.0
        self.sync_seconds = 0.0
        self._db = db
        self._thread = ThreadPoolExecutor(1, "quorate-writer")
        self._log_pages = 0

    async def run(self, write: Callable[[sqlite3.Connection], T]) -> T:
        """Run `write` in a transaction of its own, in the order of the calls. Raises what it raises, 2000."""
        self._refuse_if_broken()
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, write)

    def wrote(self, pages: int) -> None:
        """Count what a transaction added to the write-ahead log (an estimate will do); checkpoint when due.

        The checkpoint follows the answer instead of delaying it."""
        self._log_pages += PAGES_A_COMMIT + pages
        if self._log_pages >= CHECKPOINT_PAGES and self.broken is None:
            self._log_pages = 0
            self._thread.submit(self._checkpoint)

    async def close(self) -> None:
        """Let queued transactions end, then close. Whatever is asked for later raises 2000."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._end)
        self._thread.shutdown(wait=True)

    def _refuse_if_broken(self) -> None:
        if self.broken is not None:
            raise QuorateError(DATABASE, f"nothing is written any more: {self.broken.message}", self.broken.hint)

    def _transact(self, write: Callable[[sqlite3.Connection], T]) -> T:
        self._refuse_if_broken()
        started = perf_counter()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            result = write(self._db)
            syncing = perf_counter()
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._break(error, "the write failed") from error
        except BaseException:
            self._roll_back()
            raise
        ended = perf_counter()
        self.commit_seconds, self.sync_seconds = ended - started, ended - syncing
        return result

    def _roll_back(self) -> None:
        try:
            self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._break(error, "the roll-back failed")

    def _checkpoint(self) -> None:
        if self.broken is not None:
            return
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            self._break(error, "the checkpoint failed")

    def _break(self, error: sqlite3.Error, doing: str) -> QuorateError:
        broken = database_error(error, doing)
        self.broken = broken
        if self._db.in_transaction:
            with suppress(sqlite3.Error):  # it is broken already; this only lets readers see the state before
                self._db.execute("ROLLBACK")
        return broken

    def _end(self) -> None:
        self.broken = self.broken or QuorateError(DATABASE, "the store is closed", "Open it again")
        with suppress(sqlite3.Error):  # closing checkpoints; what that leaves undone the next start does
            self._db.close()
