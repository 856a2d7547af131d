"""A swarm to measure: one coordinator and its nodes, each the ordinary `quorate` command in a process of its own."""

import asyncio
import time
from pathlib import Path
from typing import Any, Self

import psutil

from quorate.app.demo.processes import Process
from quorate.base.errors import TIMEOUT, QuorateError
from quorate.client import AsyncClient

NODES_S = 30.0
POLL_S = 0.02
RATE = 1_000_000  # requests a second of one token: the limit is not what is measured


class Swarm:
    """Started by `async with`; every process is ended with it."""

    def __init__(self, place: Path, nodes: int, slots: int, options: tuple[str, ...] = ()) -> None:
        self.place = place
        self._count, self._slots, self._options = nodes, slots, options
        self._port = "0"
        self.nodes: list[Process] = []
        self.start_s = 0.0
        self.coordinator: Process
        self.client: AsyncClient

    async def __aenter__(self) -> Self:
        self.place.mkdir(parents=True, exist_ok=True)
        try:
            await self.start()
            self.client = AsyncClient(self.url, self.token, timeout_s=120.0)
            for index in range(self._count):
                await self.add_node(f"node-{index:02}")
            await self.until_online(self._count)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if hasattr(self, "client"):
            await self.client.close()
        await asyncio.gather(*(node.end() for node in self.nodes))
        if hasattr(self, "coordinator"):
            await self.coordinator.end()

    @property
    def url(self) -> str:
        return str(self.coordinator.said["url"])

    @property
    def token(self) -> str:
        return str(self.coordinator.said["token"])

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def pid(self) -> int:
        return int(self.coordinator.said["pid"])

    async def start(self) -> None:
        """Start the coordinator, on its data and its port if it had one; `start_s` is how long it took to be ready."""
        arguments = ["up", "--data", str(self.place / "up"), "--port", self._port, "--rate", str(RATE), "--json"]
        arguments += ["--log-level", "warning", *self._options]
        began = time.perf_counter()
        self.coordinator = Process("up", arguments, self.place / "up.log")
        await self.coordinator.start()
        self.start_s = time.perf_counter() - began
        self._port = str(self.port)

    async def add_node(self, name: str, *options: str) -> Process:
        """Start one more node; it is online a little later."""
        join = await self.client.invite(name)
        arguments = ["node", self.url, "--token", join, "--data", str(self.place / name), "--name", name, "--json"]
        arguments += ["--slots", str(self._slots), "--log-level", "warning", *options]
        node = Process(name, arguments, self.place / f"{name}.log")
        self.nodes.append(node)
        await node.start()
        return node

    async def until_online(self, count: int) -> None:
        """Wait for that many nodes. Raises 1001."""
        end = time.perf_counter() + NODES_S
        while sum(node.state == "online" for node in (await self.client.nodes()).items) < count:
            if time.perf_counter() > end:
                raise QuorateError(TIMEOUT, f"{count} nodes are not online after {NODES_S:.0f} s")
            await asyncio.sleep(POLL_S)

    def memory_mb(self, pid: int) -> tuple[float, float]:
        """(PSS where the system tells it, else RSS; RSS) of a process, MB of 10^6 bytes."""
        process = psutil.Process(pid)
        resident: int = process.memory_info().rss
        full: Any = process.memory_full_info()
        return getattr(full, "pss", resident) / 1e6, resident / 1e6

    def cpu_s(self, pid: int) -> float:
        """Seconds of processor time that a process has used."""
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
