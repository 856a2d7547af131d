"""`failover`: kill -9 of the coordinator, and of a node that holds work, to the next completed task; writes lost.

Whoever starts a killed coordinator again is not measured: the benchmark starts it at once, as a supervisor would.
"""

import asyncio
import os
import signal
import time
from pathlib import Path

from quorate.app.bench.figures import Figure, figure
from quorate.app.bench.swarm import Swarm
from quorate.base.errors import NOT_FOUND, QuorateError, invariant
from quorate.client import AsyncClient

NODES = 3
SLOTS = 4
WRITERS = 8
BUSY_S = 0.5
POLL_S = 0.01
TASKS = 40


async def measure(place: Path, quick: bool) -> list[Figure]:
    """`failover.coordinator_s`, `failover.node_s`, `failover.lost`."""
    runs = 1 if quick else 5
    found: list[float] = []
    lost: list[float] = []
    written = 0
    async with Swarm(place / "swarm", NODES, SLOTS) as swarm:
        for _ in range(runs):
            seconds, acknowledged, missing = await _kill_coordinator(swarm)
            found.append(seconds)
            lost.append(missing)
            written += acknowledged
        taken = [await _kill_node(swarm, f"victim-{index}") for index in range(runs)]
    return [
        figure(
            "failover.coordinator_s", found, "kill -9 under load, started again at once, to the next completed task"
        ),
        figure(
            "failover.node_s",
            taken,
            f"kill -9 of a node that holds up to {SLOTS} tasks, to the completion of the last of them elsewhere",
        ),
        figure("failover.lost", lost, f"tasks acknowledged before kill -9 and not there afterwards; of {written}"),
    ]


async def _kill_coordinator(swarm: Swarm) -> tuple[float, int, int]:
    """(seconds to a task's completion, writes acknowledged before the kill, of them lost)."""
    acknowledged: list[str] = []
    async with AsyncClient(swarm.url, swarm.token) as client:

        async def write() -> None:
            while True:
                acknowledged.append((await client.create_task("under load", executor="noop")).id)

        writers = [asyncio.create_task(write()) for _ in range(WRITERS)]
        await asyncio.sleep(BUSY_S)
        os.kill(swarm.pid, signal.SIGKILL)
        killed, before = time.perf_counter(), len(acknowledged)
        for writer in writers:
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        await swarm.coordinator.end()
        await swarm.start()
        created = await client.create_task("after the kill", executor="noop")
        job = await client.wait(created.job_id)
        seconds = time.perf_counter() - killed
        invariant(job.state == "completed" and before > 0, f"the task after the kill ended {job.state}")
        missing = sum([await _is_missing(client, id) for id in acknowledged])
        await swarm.until_online(NODES)
    return seconds, before, missing


async def _is_missing(client: AsyncClient, id: str) -> bool:
    try:
        await client.task(id)
    except QuorateError as error:
        if error.code == NOT_FOUND:
            return True
        raise
    return False


async def _kill_node(swarm: Swarm, name: str) -> float:
    """Seconds from the kill of a node that never answers to the completion of what it was given."""
    victim = await swarm.add_node(name, "--drill", "sleep=1000")
    await swarm.until_online(NODES + 1)
    order = [{"name": f"{index:03}", "executor": "noop"} for index in range(TASKS)]
    submitted = await swarm.client.submit("for the victim", order)
    view = await swarm.client.job(submitted.job_id)
    while not (view.completed >= TASKS - SLOTS and view.queued == 0):
        await asyncio.sleep(POLL_S)
        view = await swarm.client.job(submitted.job_id)
    invariant(view.running > 0, "the victim holds tasks")
    await victim.kill()
    killed = time.perf_counter()
    job = await swarm.client.wait(submitted.job_id)
    invariant(job.completed == TASKS, f"{job.completed} of {TASKS} tasks completed")
    return time.perf_counter() - killed
