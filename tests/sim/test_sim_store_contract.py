"""The virtual disk keeps the same contract as the real stores: what runs on one runs on the other."""

from collections.abc import Coroutine
from typing import Any

import pytest

from adapters.store_contract import StoreContract
from quorate.base.dice import Dice
from quorate.ports import Store
from quorate.sim.disk import SimDisk, SimStore
from quorate.sim.loop import VirtualLoop
from quorate.sim.process import SimProcess
from quorate.sim.trace import Trace


class SimPlace:
    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._disk = SimDisk("disk", Dice(1), Trace(loop))

    async def open(self) -> Store:
        self._disk.recover()
        return SimStore(self._disk, SimProcess(self._loop, "p"))


class SimWorld:
    def __init__(self) -> None:
        self._loop = VirtualLoop()

    def place(self) -> SimPlace:
        return SimPlace(self._loop)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run(work, virtual_s=1_000, steps=1_000_000)


class TestSim(StoreContract):
    @pytest.fixture
    def world(self) -> SimWorld:
        return SimWorld()
