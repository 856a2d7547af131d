"""The embedded store: journal and read model of one realm in one SQLite file."""

from quorate.adapters.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
