"""Blobs that nodes upload in parts: each becomes one stream into the blob port.

Invariants: U1 parts of a blob are taken in order. U2 a blob counts as stored only when its bytes hash to its id.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

from quorate.base.errors import CONFLICT, INVALID, OK, RATE_LIMITED, QuorateError
from quorate.base.limits import BLOB_MAX_BYTES
from quorate.model import Id
from quorate.ports import Blobs
from quorate.services.coordinator.messages import BlobStored, StorePart

UPLOADS_AT_ONCE = 64
PARTS_WAITING = 1_024


class _Upload:
    def __init__(self) -> None:
        self.parts: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.next_offset = 0

    async def stream(self) -> AsyncIterator[bytes]:
        while (part := await self.parts.get()) is not None:
            yield part


class Uploads:
    """Every upload under way. `done` is told of each end, good or bad."""

    def __init__(self, blobs: Blobs, done: Callable[[BlobStored], None], spawn: Callable[..., object]) -> None:
        self._blobs = blobs
        self._done = done
        self._spawn = spawn
        self._running: dict[tuple[bytes, Id], _Upload] = {}

    def part(self, part: StorePart) -> None:
        """Take the next part; an upload out of order is refused."""
        key = (part.link, part.id)
        upload = self._running.get(key)
        if upload is None:
            if part.offset or len(self._running) >= UPLOADS_AT_ONCE:
                code = CONFLICT if part.offset else RATE_LIMITED
                self._done(BlobStored(part.link, part.id, code))
                return
            upload = self._running[key] = _Upload()
            self._spawn(self._store(key, upload))
        if part.offset != upload.next_offset or upload.parts.qsize() >= PARTS_WAITING:
            self._end(key, upload)
            return
        upload.next_offset += len(part.data)
        upload.parts.put_nowait(part.data)
        if upload.next_offset >= part.total:
            self._end(key, upload)

    def _end(self, key: tuple[bytes, Id], upload: _Upload) -> None:
        upload.parts.put_nowait(None)
        self._running.pop(key, None)

    def forget(self, link: bytes) -> None:
        """The link is gone: its unfinished uploads end (and fail their hash)."""
        for key in [key for key in self._running if key[0] == link]:
            self._end(key, self._running[key])

    async def _store(self, key: tuple[bytes, Id], upload: _Upload) -> None:
        link, id = key
        try:
            stored = await self._blobs.put(upload.stream(), BLOB_MAX_BYTES)
            code = OK if stored == id else INVALID
        except QuorateError as error:
            code = error.code
        self._running.pop(key, None)
        self._done(BlobStored(link, id, code))
