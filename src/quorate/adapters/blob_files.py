"""Blobs as files named by their hash: `ab/cdef...` under one directory.

Knows files, hashes and fsync; nothing of what the bytes mean or who may have them. One process owns a
directory. Files are read and written in threads, never on the loop.

Invariants: B1 a name appears with its whole content, synced. B2 bytes that do not hash to their name are
never served: a file is hashed before its first byte leaves. B3 what a crash or a refusal left half-written
is removed.
"""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from threading import Lock
from typing import TypeVar

from blake3 import blake3

from quorate.adapters.private_files import PRIVATE_FILE, disk_error, private_directory, sync_directory
from quorate.base.errors import DATABASE, NOT_FOUND, TOO_LARGE, QuorateError, invariant, require
from quorate.base.ids import HASH_BYTES
from quorate.base.limits import BLOB_MAX_BYTES, BLOB_PART_BYTES, BLOBS_CHECKED_MAX, MS_NS
from quorate.model import Id
from quorate.ports import Blobs, Store

T = TypeVar("T")
_DRAFTS = "drafts"
_SETTLED_NS = 50 * MS_NS  # a file changed twice within one tick of its clock looks unchanged
_Stamp = tuple[int, int, int]  # inode, size, time of change: a file as it was when it was hashed


class FileBlobs:
    """Content-addressed files. Raises 2000 or 1003 when the directory cannot be used."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._drafts = directory / _DRAFTS
        self._checked: OrderedDict[Id, _Stamp] = OrderedDict()
        private_directory(directory)
        private_directory(self._drafts)
        try:
            for leftover in sorted(self._drafts.iterdir()):
                leftover.unlink()
        except OSError as error:
            raise disk_error(error, f"cannot clean {self._drafts}") from error

    async def put(self, data: AsyncIterator[bytes], max_bytes: int) -> Id:
        """Store; durable when it returns. Raises 1007 beyond `max_bytes` (and `BLOB_MAX_BYTES`), 2000."""
        limit = min(max_bytes, BLOB_MAX_BYTES)
        draft = _Draft(self._drafts / os.urandom(16).hex())
        try:
            waiting: list[bytes] = []
            total = held = 0
            async for part in data:
                total += len(part)
                require(total <= limit, f"the blob is larger than {limit} bytes", TOO_LARGE)
                waiting.append(part)
                held += len(part)
                if held >= BLOB_PART_BYTES:
                    await self._io(draft.write, b"".join(waiting))
                    waiting, held = [], 0
            return await self._io(self._publish, draft, b"".join(waiting))
        finally:
            # Shielded: an upload that is cancelled must not leave its draft behind.
            await asyncio.shield(self._io(draft.discard))

    async def get(self, id: Id) -> AsyncIterator[bytes]:
        """The bytes in parts. Raises 1000, and 2000 when the file is damaged, before the first part."""
        offset = 0
        stamp: _Stamp | None = None
        while True:
            part, stamp = await self._io(self._read, id, offset, BLOB_PART_BYTES, stamp)
            if part:
                yield part
            if len(part) < BLOB_PART_BYTES:
                return
            offset += len(part)

    async def size(self, id: Id) -> int | None:
        """Bytes, or None when it is not here."""

        def look() -> int | None:
            try:
                return self._path(id).stat().st_size
            except FileNotFoundError:
                return None

        return await self._io(look) if len(id) == HASH_BYTES else None

    async def part(self, id: Id, offset: int, limit: int) -> bytes:
        """At most `limit` bytes from `offset`. Raises 1000, 1002, 2000.

        The whole is hashed before the first of its parts is served, and again when the file has changed."""
        require(offset >= 0 and limit >= 0, "offset and limit of a blob's part are not negative")
        known = self._checked.get(id)
        part, stamp = await self._io(self._read, id, offset, limit, known)
        if time.time_ns() - stamp[2] > _SETTLED_NS:
            self._checked[id] = stamp
            self._checked.move_to_end(id)
        while len(self._checked) > BLOBS_CHECKED_MAX:
            self._checked.popitem(last=False)
        return part

    def _path(self, id: Id) -> Path:
        name = id.hex()
        return self._directory / name[:2] / name[2:]

    def _publish(self, draft: "_Draft", rest: bytes) -> Id:
        draft.write(rest)
        return draft.publish(self._place_for)

    def _place_for(self, id: Id) -> Path:
        path = self._path(id)
        if not path.parent.exists():
            private_directory(path.parent)
        return path

    def _read(self, id: Id, offset: int, limit: int, known: _Stamp | None) -> tuple[bytes, _Stamp]:
        """A part of a file that hashes to its name. `known`: as it was when it was hashed last.

        Opened anew for each part: a read that is cancelled leaves no descriptor behind in its thread."""
        missing = QuorateError(NOT_FOUND, f"there is no blob {id[:HASH_BYTES].hex()}")
        if len(id) != HASH_BYTES:
            raise missing
        try:
            descriptor = os.open(self._path(id), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            raise missing from error
        try:
            found = os.fstat(descriptor)
            stamp = (found.st_ino, found.st_size, found.st_ctime_ns)
            if stamp != known and _hash_of(descriptor) != id:
                raise QuorateError(
                    DATABASE, f"the blob {id.hex()} is damaged on disk", "Store it again, or restore it from a backup"
                )
            return os.pread(descriptor, limit, offset), stamp
        finally:
            os.close(descriptor)

    async def _io(self, work: Callable[..., T], *arguments: object) -> T:
        try:
            return await asyncio.to_thread(work, *arguments)
        except OSError as error:
            raise disk_error(error, f"cannot use the blobs in {self._directory}") from error


class _Draft:
    """A file that is being written. Its calls come from threads, one of which may outlive its caller."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hasher = blake3()
        self._lock = Lock()
        self._descriptor = -1
        self._discarded = False

    def write(self, data: bytes) -> None:
        with self._lock:
            if self._discarded:
                return
            if self._descriptor < 0:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._descriptor = os.open(self.path, flags, PRIVATE_FILE)
            self._hasher.update(data)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def publish(self, path_of: Callable[[Id], Path]) -> Id:
        """Sync, and give the file its name: `path_of` its hash."""
        with self._lock:
            invariant(self._descriptor >= 0 and not self._discarded, "a draft is published once, after a write")
            os.fsync(self._descriptor)
            id = self._hasher.digest()
            path = path_of(id)
            self.path.replace(path)  # also over a file of that name: it may be damaged, and this one is whole
            sync_directory(path.parent)
            return id

    def discard(self) -> None:
        """Let go of the file, and remove it unless it was published."""
        with self._lock:
            self._discarded = True
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
                self.path.unlink(missing_ok=True)


def _hash_of(descriptor: int) -> Id:
    hasher = blake3()
    offset = 0
    while part := os.pread(descriptor, BLOB_PART_BYTES, offset):
        hasher.update(part)
        offset += len(part)
    return hasher.digest()


class LayeredBlobs:
    """Small blobs from the store where they were kept beside the events, all others from files. Puts go to files."""

    def __init__(self, store: Store, files: Blobs) -> None:
        self._store = store
        self._files = files

    async def put(self, data: AsyncIterator[bytes], max_bytes: int) -> Id:
        """Store in a file. Raises 1007, 2000."""
        return await self._files.put(data, max_bytes)

    async def get(self, id: Id) -> AsyncIterator[bytes]:
        """The bytes in parts. Raises 1000, 2000."""
        kept = self._store.kept(id)
        if kept is not None:
            for offset in range(0, len(kept), BLOB_PART_BYTES):
                yield kept[offset : offset + BLOB_PART_BYTES]
            return
        async for part in self._files.get(id):
            yield part

    async def size(self, id: Id) -> int | None:
        """Bytes, or None when it is in neither."""
        kept = self._store.kept(id)
        return len(kept) if kept is not None else await self._files.size(id)

    async def part(self, id: Id, offset: int, limit: int) -> bytes:
        """At most `limit` bytes from `offset`. Raises 1000, 1002, 2000."""
        kept = self._store.kept(id)
        if kept is None:
            return await self._files.part(id, offset, limit)
        require(offset >= 0 and limit >= 0, "offset and limit of a blob's part are not negative")
        return kept[offset : offset + limit]
