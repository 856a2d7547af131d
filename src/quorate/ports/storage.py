"""Where things stay: the journal, the read model beside it, and blobs."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from msgspec import Struct

from quorate.model import Id, Keep, Project, Row, Save, Sealed


class Group(Struct, frozen=True):
    """What one group commit writes in one transaction. `expect` is the position before the first event."""

    events: tuple[Sealed, ...]
    saves: tuple[Save, ...] = ()
    keeps: tuple[Keep, ...] = ()
    rows: tuple[Project, ...] = ()


class RowFilter(Struct, frozen=True):
    """Conditions on a read model's rows; empty matches all. Newest (`order` highest) first, below `before`."""

    parent: bytes = b""
    states: tuple[str, ...] = ()
    owner: str = ""
    before: int = 0
    limit: int = 50


class Journal(Protocol):
    """The log. Positions are dense and start at 1."""

    async def append(self, batch: Sequence[Sealed], epoch: int, expect: int) -> int:
        """Write a batch: fenced by `epoch`, atomic, on disk when it returns. The last position.

        Raises 1006 when a newer epoch has opened the log or `expect` is not its size, 2000 when the disk fails."""

    def read(self, after: int, limit: int) -> AsyncIterator[tuple[int, Sealed]]:
        """Events after a position, in order, at most `limit`."""

    async def save(self, key: str, record: bytes) -> None: ...

    async def load(self, key: str) -> bytes | None: ...


class Store(Journal, Protocol):
    """A journal with the read model of its realm in the same file: both change in one transaction."""

    async def open_epoch(self) -> int:
        """Fence off every earlier writer; the new epoch, durable."""

    async def commit(self, group: Group, epoch: int, expect: int) -> int:
        """`append` with everything else of the group. The last position."""

    async def size(self) -> int:
        """The last position, 0 when empty."""

    async def position_of(self, event: Id) -> int | None: ...

    def row(self, table: str, key: bytes) -> Row | None:
        """A committed row. Cheap, synchronous."""

    def rows(self, table: str, where: RowFilter) -> list[tuple[bytes, Row]]:
        """Committed rows, newest first. Cheap for a page, synchronous."""

    def counts(self, table: str) -> dict[str, int]:
        """Committed rows by state."""

    def kept(self, id: Id) -> bytes | None:
        """A small blob kept beside the events."""

    async def close(self) -> None: ...


class Blobs(Protocol):
    """Content-addressed bytes. The id is the BLAKE3 of the whole."""

    async def put(self, data: AsyncIterator[bytes], max_bytes: int) -> Id:
        """Store; durable when it returns. Raises 1007 beyond `max_bytes`."""

    def get(self, id: Id) -> AsyncIterator[bytes]:
        """The bytes in parts. Raises 1000 when there is no such blob."""

    async def size(self, id: Id) -> int | None:
        """Bytes, or None when it is not here."""

    async def part(self, id: Id, offset: int, limit: int) -> bytes:
        """At most `limit` bytes from `offset`. Raises 1000."""
