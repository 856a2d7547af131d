"""The file: its tables, its version, and how a connection is set up.

Knows DDL and pragmas; nothing of events or groups. Invariants: S1 a file that is not ours, or newer than
this program, is refused before anything is written to it. S2 a schema is there whole or not at all. S3 at
start everything in the write-ahead log is moved to the database and synced (see `settle`).
"""

import os
import sqlite3
from pathlib import Path

from quorate.adapters.private_files import PRIVATE_FILE, sync_directory
from quorate.base.errors import DATABASE, UNSUPPORTED, QuorateError

APPLICATION_ID = 0x51554F52  # "QUOR", in the file's header
SCHEMA_VERSION = 1
PAGE_BYTES = 4096  # SQLite's default, as the file is made
BUSY_TIMEOUT_S = 5.0
JOURNAL_KEPT_BYTES = 64 * 1024 * 1024  # the write-ahead log is cut back to this after a burst
WRITER_CACHE_KIB = 16 * 1024
READER_CACHE_KIB = 4 * 1024

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
    position INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE,
    head BLOB NOT NULL, salt BLOB NOT NULL, body BLOB, sig BLOB
);
CREATE TABLE kept (id BLOB PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE records (key TEXT PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE projected (
    tbl TEXT NOT NULL, key BLOB NOT NULL, parent BLOB NOT NULL, state TEXT NOT NULL, owner TEXT NOT NULL,
    ord INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (tbl, key)
);
CREATE INDEX projected_by_state ON projected (tbl, state, ord);
CREATE INDEX projected_by_parent ON projected (tbl, parent, state, ord);
CREATE INDEX projected_by_owner ON projected (tbl, owner, state, ord);
CREATE TABLE counters (
    tbl TEXT NOT NULL, state TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (tbl, state)
) WITHOUT ROWID;
CREATE TRIGGER projected_added AFTER INSERT ON projected BEGIN
    INSERT INTO counters VALUES (new.tbl, new.state, 1) ON CONFLICT (tbl, state) DO UPDATE SET n = n + 1;
END;
CREATE TRIGGER projected_removed AFTER DELETE ON projected BEGIN
    UPDATE counters SET n = n - 1 WHERE tbl = old.tbl AND state = old.state;
END;
CREATE TRIGGER projected_changed AFTER UPDATE OF state ON projected WHEN old.state <> new.state BEGIN
    UPDATE counters SET n = n - 1 WHERE tbl = old.tbl AND state = old.state;
    INSERT INTO counters VALUES (new.tbl, new.state, 1) ON CONFLICT (tbl, state) DO UPDATE SET n = n + 1;
END;
"""


def create_file(path: Path) -> None:
    """An empty file, 0600, its name durable. One that is there stays, tightened. Raises OSError."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE))
        sync_directory(path.parent)
    except FileExistsError:
        path.chmod(PRIVATE_FILE)


def connect_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes, its schema in place. Raises 2000, 1008, sqlite3.Error."""
    db = _connect(path)
    try:
        fresh = _identify(db, path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone does not reach the platter there
        db.execute("PRAGMA checkpoint_fullfsync = ON")
        # SQLite's own checkpoints swallow I/O errors; ours are asked for, and an error ends the store.
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute(f"PRAGMA journal_size_limit = {JOURNAL_KEPT_BYTES}")
        db.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIB}")
        if fresh:
            _create(db)
        settle(db)
    except BaseException:
        db.close()
        raise
    return db


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that sees committed state only and cannot write."""
    db = _connect(path)
    db.execute("PRAGMA query_only = ON")
    db.execute(f"PRAGMA cache_size = -{READER_CACHE_KIB}")
    return db


def settle(db: sqlite3.Connection) -> None:
    """Move the whole write-ahead log into the database, synced, and start a new one.

    After a crash or a failed fsync the log's last frames may be in the page cache alone. Appending to it
    would put acknowledged frames behind ones that never reached the disk: a power cut then loses both."""
    busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise QuorateError(DATABASE, "the database is locked", "Close other programs that have the file open")


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=64,
    )
    db.execute("PRAGMA trusted_schema = OFF")
    return db


def _identify(db: sqlite3.Connection, path: Path) -> bool:
    """Is the file still empty? Raises 2000 when it is not ours, 1008 when it is newer."""
    foreign = QuorateError(
        DATABASE, f"{path} is not a Quorate database", "Choose another data directory, or restore a backup"
    )
    try:
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (application,) = db.execute("PRAGMA application_id").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise foreign from error
        raise
    if tables == 0 and application == 0:
        return True
    if application != APPLICATION_ID:
        raise foreign
    version = read_meta(db, "schema")
    if not isinstance(version, int):
        raise foreign
    if version > SCHEMA_VERSION:
        raise QuorateError(
            UNSUPPORTED,
            f"{path} has schema version {version}; this program knows {SCHEMA_VERSION}",
            "Update quorate, or restore a backup of its age",
        )
    return False


def _create(db: sqlite3.Connection) -> None:
    statements = [f"PRAGMA application_id = {APPLICATION_ID}", *_split(_TABLES)]
    db.execute("BEGIN IMMEDIATE")
    for statement in statements:
        db.execute(statement)
    db.executemany("INSERT INTO meta VALUES (?, ?)", [("schema", SCHEMA_VERSION), ("epoch", 0), ("realm", b"")])
    db.execute("COMMIT")


def _split(script: str) -> list[str]:
    """Statements of a script, a trigger's body kept whole (`executescript` would commit on its own)."""
    statements, pending = [], ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements


def read_meta(db: sqlite3.Connection, name: str) -> object:
    """A value of the `meta` table, None when it has none."""
    found = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return found[0] if found else None
