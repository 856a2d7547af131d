"""A storm over real processes: kill -9 at random moments under load, restart, and at the end count everything.

Clients retry with one idempotency key until they are acknowledged; every acknowledgement is written down
and compared with the log afterwards. All choices come from a seed; what the machine's clock adds is only when.
"""

import asyncio
import json
import random
import secrets
import signal
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from processes import Process, Processes, free_port
from quorate.base.errors import QuorateError
from quorate.client import AsyncClient
from quorate.model.views import EventView

NODES = 3
QUORATE = (sys.executable, "-m", "quorate")
SETTLE_S = 60.0
RETRY_S = 0.05


@dataclass
class Acknowledged:
    """What the coordinator said is on disk."""

    jobs: dict[str, tuple[str, int, dict[str, str]]] = field(default_factory=dict)  # key: job, position, tasks
    notes: dict[str, tuple[str, int]] = field(default_factory=dict)  # key: event, position


class Storm:
    """One coordinator and its nodes on one data directory, through many lives."""

    def __init__(self, processes: Processes, folder: Path, seed: int) -> None:
        self._processes = processes
        self._folder = folder
        self.dice = random.Random(seed)
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.token = ""
        self.coordinator: Process
        self.nodes: list[Process] = []
        self._tokens: list[str] = []
        self.acknowledged = Acknowledged()
        self.kills: Counter[str] = Counter()

    async def begin(self) -> None:
        await self._up()
        async with self.client() as client:
            self._tokens = [await client.invite(f"node-{number}") for number in range(NODES)]
        self.nodes = [self._node(number) for number in range(NODES)]

    async def _up(self) -> None:
        data = str(self._folder / "coordinator")
        argv = (*QUORATE, "up", "--json", "--data", data, "--port", str(self._port), "--log-level", "warning")
        self.coordinator = self._processes.start(*argv, name="coordinator")
        said = await asyncio.to_thread(self.coordinator.line, r"(\{.*\})")
        self.token = json.loads(said[1])["token"]

    def _node(self, number: int) -> Process:
        name = f"node-{number}"
        argv = (*QUORATE, "node", self.url, "--token", self._tokens[number], "--data", str(self._folder / name))
        return self._processes.start(*argv, "--name", name, "--slots", "4", "--log-level", "warning", name=name)

    def client(self) -> AsyncClient:
        return AsyncClient(self.url, self.token, timeout_s=5.0)

    async def rage(self, rounds: int) -> None:
        """Kill and restart, while two clients write."""
        stop = asyncio.Event()
        async with self.client() as client, asyncio.TaskGroup() as group:
            group.create_task(self._submit(client, stop))
            group.create_task(self._note(client, stop))
            for _ in range(rounds):
                await asyncio.sleep(self.dice.uniform(0.05, 0.6))
                await self._strike()
            stop.set()

    async def _strike(self) -> None:
        if self.dice.random() < 0.6:
            self.kills["coordinator"] += 1
            self.coordinator.signal(signal.SIGKILL)
            await asyncio.to_thread(self.coordinator.wait)
            await self._up()
        else:
            number = self.dice.randrange(NODES)
            self.kills["node"] += 1
            self.nodes[number].kill()
            self.nodes[number] = self._node(number)

    async def _submit(self, client: AsyncClient, stop: asyncio.Event) -> None:
        while not stop.is_set():
            key = f"job-{len(self.acknowledged.jobs)}"
            tasks: list[dict[str, Any]] = [
                {"name": f"{key}-{index}", "executor": "noop", "input": index}
                for index in range(self.dice.randint(1, 12))
            ]
            tasks[-1]["deps"] = [task["name"] for task in tasks[:-1]]
            defaults = {"replicas": 2, "quorum": 2, "timeoutMs": 5_000, "retries": 20}
            done = await self._insist(partial(client.submit, key, tasks, defaults=defaults, idempotency_key=key))
            self.acknowledged.jobs[key] = (done.job_id, done.position, done.tasks)

    async def _note(self, client: AsyncClient, stop: asyncio.Event) -> None:
        while not stop.is_set():
            key = f"note-{len(self.acknowledged.notes)}"
            done = await self._insist(partial(client.emit, "storm", key, idempotency_key=key))
            self.acknowledged.notes[key] = (done.event, done.position)

    async def _insist(self, ask: Any) -> Any:
        """Ask with the same key until there is an acknowledgement."""
        while True:
            try:
                return await ask()
            except QuorateError as error:
                if error.code not in (3001, 2000, 1004, 4004):
                    raise
                await asyncio.sleep(RETRY_S)

    async def settle(self) -> None:
        """Wait until every acknowledged job is over."""
        async with self.client() as client, asyncio.timeout(SETTLE_S):
            for job, _, _ in self.acknowledged.jobs.values():
                view = await self._insist(partial(client.wait, job))
                assert view.state == "completed", view

    async def check(self) -> None:
        """Everything acknowledged is in the log at its place, and nothing is there twice."""
        events = await self._log()
        by_position = {event.position: event for event in events}
        assert sorted(by_position) == list(range(1, len(events) + 1)), "positions are dense"
        for key, (event, position) in self.acknowledged.notes.items():
            assert by_position[position].id == event, key
        written = Counter(event.body["data"] for event in events if event.kind == "note")
        assert written == Counter(self.acknowledged.notes.keys()), "each note once"
        jobs = Counter(e.body["name"] for e in events if e.kind == "job.submitted" and e.body["first"] == 0)
        assert jobs == Counter(self.acknowledged.jobs.keys()), "each job once"
        settled = Counter(event.subject for event in events if event.kind == "task.settled")
        expected = [task for _, _, tasks in self.acknowledged.jobs.values() for task in tasks.values()]
        assert settled == Counter(expected), "each task settles once"
        for _, position, _ in self.acknowledged.jobs.values():
            assert by_position[position].kind == "job.submitted"

    async def _log(self) -> list[EventView]:
        events: list[EventView] = []
        async with self.client() as client:
            cursor = ""
            while (page := await client.events(cursor, limit=500)).items:
                events += page.items
                cursor = page.next or ""
        return events

    async def verified(self) -> None:
        """`quorate log verify`, from the coordinator and, once it has ended, from its disk."""
        online = ("log", "verify", "--url", self.url, "--token", self.token)
        await self._holds(*online)
        assert await asyncio.to_thread(self.coordinator.stop) == 0
        for node in self.nodes:
            node.kill()
        await self._holds("log", "verify", "--offline", str(self._folder / "coordinator"))

    async def _holds(self, *arguments: str) -> None:
        name = f"verify-{secrets.token_hex(2)}"
        process = self._processes.start(*QUORATE, *arguments, name=name)
        assert await asyncio.to_thread(process.wait) == 0, process.log()


async def storm(processes: Processes, folder: Path, seed: int, rounds: int) -> Storm:
    """The whole of it."""
    one = Storm(processes, folder, seed)
    await one.begin()
    await one.rage(rounds)
    await one.settle()
    await one.check()
    await one.verified()
    return one
