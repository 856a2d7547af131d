"""Coordinator and nodes as processes: drained, lost, found, restarted."""

import asyncio
import itertools
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from processes import Process, Processes, free_port
from quorate.client import AsyncClient

pytestmark = pytest.mark.services
QUORATE = (sys.executable, "-m", "quorate")
FOUND_WITHIN_S = 3.0  # the bound of the design; a loaded machine may take longer to say so
LENIENT_S = 6.0


class Swarm:
    """A coordinator on a fixed port and the nodes that a test starts."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes = processes
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.coordinator: Process
        self.token = ""

    def up(self) -> Process:
        argv = (*QUORATE, "up", "--json", "--data", str(self._folder / "c"), "--port", str(self._port))
        self.coordinator = self._processes.start(*argv, name="coordinator")
        self.token = json.loads(self.coordinator.line(r"(\{.*\})")[1])["token"]
        return self.coordinator

    def client(self) -> AsyncClient:
        return AsyncClient(self.url, self.token)

    async def node(self, name: str, *options: str) -> Process:
        async with self.client() as client:
            token = await client.invite(name)
        argv = (*QUORATE, "node", self.url, "--token", token, "--data", str(self._folder / name), "--name", name)
        node = self._processes.start(*argv, *options, "--json", name=name)
        await asyncio.to_thread(node.line, r"(\{.*\})")
        return node

    async def online(self, client: AsyncClient, count: int) -> None:
        async with asyncio.timeout(20):
            while (await client.status())["nodes"]["online"] != count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


@pytest.fixture
def swarm(processes: Processes, tmp_path: Path) -> Swarm:
    made = Swarm(processes, tmp_path)
    made.up()
    return made


def sleeping(count: int, seconds: float) -> list[dict[str, Any]]:
    """Tasks that take a while."""
    return [{"name": f"t{i}", "command": ["sleep", str(seconds)], "isolation": False} for i in range(count)]


def test_a_killed_node_is_found_and_its_work_is_done_by_another(swarm: Swarm) -> None:
    async def story() -> None:
        victim = await swarm.node("victim", "--slots", "2")
        async with swarm.client() as client:
            await swarm.online(client, 1)
            job = await client.submit("j", sleeping(2, 4.0))  # longer than another node takes to start
            async with asyncio.timeout(20):
                while (await client.job(job.job_id)).running < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await swarm.node("heir", "--slots", "2")
            await swarm.online(client, 2)
            victim.signal(signal.SIGKILL)
            began = time.monotonic()
            await swarm.online(client, 1)
            assert time.monotonic() - began < LENIENT_S
            done = await client.wait(job.job_id, timeout_s=30)
            assert done.state == "completed"
            assert (await client.status())["reassigned"] == 2

    asyncio.run(story())


def test_sigterm_lets_a_node_finish_what_runs(swarm: Swarm) -> None:
    async def story() -> None:
        node = await swarm.node("worker", "--slots", "2")
        async with swarm.client() as client:
            await swarm.online(client, 1)
            job = await client.submit("j", sleeping(2, 0.7))
            async with asyncio.timeout(20):
                while (await client.job(job.job_id)).running < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert await asyncio.to_thread(node.stop) == 0
            done = await client.wait(job.job_id, timeout_s=10)
            assert done.state == "completed", "both were finished before it left"
            assert (await client.status())["reassigned"] == 0

    asyncio.run(story())


def test_sigterm_hands_back_what_would_take_too_long(swarm: Swarm) -> None:
    async def story() -> None:
        node = await swarm.node("worker", "--slots", "1", "--drain-ms", "200")
        async with swarm.client() as client:
            await swarm.online(client, 1)
            job = await client.submit("j", sleeping(1, 3.0))
            async with asyncio.timeout(20):
                while (await client.job(job.job_id)).running < 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert await asyncio.to_thread(node.stop) == 0
            task = (await client.query_tasks(job=job.job_id)).items[0]
            assert task.state == "queued"
            assert task.attempts[0].code == 4002, "the reason of the attempt is kept"

    asyncio.run(story())


def test_a_restarted_coordinator_goes_on_where_the_log_says_it_was(swarm: Swarm) -> None:
    async def story() -> None:
        await swarm.node("worker", "--slots", "2")
        async with swarm.client() as client:
            await swarm.online(client, 1)
            chain = sleeping(6, 0.3)
            for before, task in itertools.pairwise(chain):
                task["deps"] = [before["name"]]
            job = await client.submit("chain", chain)
            async with asyncio.timeout(20):
                while (await client.job(job.job_id)).completed < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            before_stop = (await client.status())["position"]
            assert await asyncio.to_thread(swarm.coordinator.stop) == 0, "SIGTERM drains and exits 0"
        await asyncio.to_thread(swarm.up)
        async with swarm.client() as client:
            done = await client.wait(job.job_id, timeout_s=30)
            assert done.state == "completed" and done.completed == 6
            status = await client.status()
            assert status["epoch"] == 2 and status["position"] > before_stop
            tasks = (await client.query_tasks(job=job.job_id)).items
            assert all(len(task.attempts) == 1 for task in tasks), "no task ran twice"

    asyncio.run(story())


def test_a_revoked_node_is_shut_out_and_may_come_back_with_a_fresh_token(swarm: Swarm) -> None:
    async def story() -> None:
        node = await swarm.node("worker")
        async with swarm.client() as client:
            await swarm.online(client, 1)
            grants = (await client.call("GET", "/grants"))["items"]
            grant = next(g["id"] for g in grants if g["role"] == "node")
            await client.call("DELETE", f"/grants/{grant}")
            await swarm.online(client, 0)
            assert await asyncio.to_thread(node.wait) == 1, "it is told that it may not come back, and ends"
            refused = swarm._processes.start(
                *QUORATE, "node", swarm.url, "--data", str(swarm._folder / "worker"), "--name", "worker", name="refused"
            )
            assert await asyncio.to_thread(refused.wait) == 1
            assert "1003" in refused.log()
            await swarm.node("worker")
            await swarm.online(client, 1)

    asyncio.run(story())
