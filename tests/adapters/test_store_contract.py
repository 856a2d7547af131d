"""Every real store keeps the contract."""

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from adapters.store_contract import StoreContract
from quorate.adapters.sqlite import SqliteStore
from quorate.ports import Store


class SqlitePlace:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    async def open(self) -> Store:
        return await SqliteStore.open(self.directory)


class SqliteWorld:
    def __init__(self, root: Path) -> None:
        self._root = root

    def place(self) -> SqlitePlace:
        return SqlitePlace(Path(tempfile.mkdtemp(dir=self._root)))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(work)


class TestSqlite(StoreContract):
    @pytest.fixture
    def world(self, tmp_path: Path) -> SqliteWorld:
        return SqliteWorld(tmp_path)
