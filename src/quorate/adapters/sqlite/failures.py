"""What SQLite's errors mean to whoever runs the coordinator."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from quorate.adapters.private_files import disk_error
from quorate.base.errors import DATABASE, QuorateError

_HINTS = {
    sqlite3.SQLITE_FULL: "Free disk space, then start again: everything acknowledged is kept",
    sqlite3.SQLITE_BUSY: "Close other programs that have the database open, then start again",
    sqlite3.SQLITE_READONLY: "Make the data directory writable, then start again",
    sqlite3.SQLITE_CANTOPEN: "Check that the data directory exists, is writable and has free space",
    sqlite3.SQLITE_CORRUPT: "Restore the newest backup; `quorate log verify` names the first bad event",
    sqlite3.SQLITE_IOERR: "Check the disk and its free space, then start again",
}
_PRIMARY_CODE = 0xFF  # the low byte of an extended result code


def database_error(error: sqlite3.Error, doing: str) -> QuorateError:
    """A 2000 that names what was done and what to do now."""
    code = getattr(error, "sqlite_errorcode", 0)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return QuorateError(DATABASE, f"{doing}: {error} ({name})", _HINTS.get(code & _PRIMARY_CODE, ""))


@contextmanager
def reporting(doing: str) -> Iterator[None]:
    """Turn the disk's and SQLite's errors into coded ones."""
    try:
        yield
    except sqlite3.Error as error:
        raise database_error(error, doing) from error
    except OSError as error:
        raise disk_error(error, doing) from error
