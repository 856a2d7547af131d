"""The little that a node keeps: one file a record, replaced whole."""

import asyncio
import os
from pathlib import Path


class FileRecords:
    """Records in a directory, durable when `save` returns."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def save(self, key: str, record: bytes) -> None:
        await asyncio.to_thread(self._save, key, record)

    def _save(self, key: str, record: bytes) -> None:
        draft = self._folder / f".{key}.new"
        with draft.open("wb") as file:
            file.write(record)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._folder / key)

    async def load(self, key: str) -> bytes | None:
        path = self._folder / key
        return path.read_bytes() if path.exists() else None
