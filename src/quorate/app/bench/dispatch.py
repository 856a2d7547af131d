"""`dispatch`: durable signed tasks through one coordinator and ten nodes, no-op work, from submission to result.

Beside it, alternating in the same run: dask.distributed with ten worker processes (not durable, not signed), the
disk's sync and one signature. A task counts when the client has read its agreed end.
"""

import asyncio
import time
from pathlib import Path
from statistics import median

from quorate.app.bench.child import Child
from quorate.app.bench.figures import Figure, figure, quantile
from quorate.app.bench.machine import signature_us, sync_ms
from quorate.app.bench.swarm import Swarm
from quorate.base.errors import invariant
from quorate.base.limits import PAGE_MAX
from quorate.client import AsyncClient

NODES = 10
SLOTS = 8
WINDOW = NODES  # in flight: one a node
MODE = "every group synced before anyone is told (WAL, synchronous=FULL), every result signed and verified (Ed25519)"


async def measure(place: Path, quick: bool) -> list[Figure]:
    """`dispatch.tasks_s` and `dispatch.p95_ms`."""
    runs, tasks, singles = (2, 500, 200) if quick else (7, 2_000, 1_500)
    ours: list[float] = []
    theirs: list[float] = []
    late: list[float] = []
    their_late: list[float] = []
    used: list[float] = []
    async with Swarm(place / "swarm", NODES, SLOTS) as swarm, Child("dask_peer", place) as dask:
        await batch(swarm.client, tasks)  # both warm
        await dask.ask({"tasks": tasks})
        for _ in range(runs):
            before = swarm.cpu_s(swarm.pid)
            ours.append(tasks / await batch(swarm.client, tasks))
            used.append((swarm.cpu_s(swarm.pid) - before) / tasks * 1e6)
            theirs.append(tasks / await dask.ask({"tasks": tasks}))
        await loop(swarm, WINDOW * 2, WINDOW)
        for _ in range(runs):
            late.append(quantile(await loop(swarm, singles, WINDOW), 0.95))
            their_late.append(quantile(await dask.ask({"tasks": singles, "window": WINDOW}), 0.95))
    sync, signature = sync_ms(place), signature_us()
    limits = f"one sync {sync:.2f} ms, one signature made and verified {signature:.0f} us"
    return [
        figure(
            "dispatch.tasks_s",
            ours,
            f"batches of {tasks} from submission to every task's agreed end read; {MODE}; dask: no disk, no signature; "
            f"limit: one core that only signs and verifies; {limits}; coordinator {median(used):.0f} us of CPU a task",
            {"dask.distributed": theirs},
            1e6 / signature,
        ),
        figure(
            "dispatch.p95_ms",
            late,
            f"one task a submission, {WINDOW} clients at once, from submission to agreed end; {MODE}; {limits}",
            {"dask.distributed": their_late},
            sync + signature / 1000,
        ),
    ]


async def batch(client: AsyncClient, tasks: int) -> float:
    """Seconds from the submission of one job to every task's result in the client's hands."""
    order = [{"name": f"{index:05}", "executor": "noop"} for index in range(tasks)]
    began = time.perf_counter()
    submitted = await client.submit("bench", order)
    job = await client.wait(submitted.job_id)
    read = 0
    before = ""
    while True:
        page = await client.query_tasks(job=submitted.job_id, limit=PAGE_MAX, before=before)
        read += sum(view.state == "completed" and len(view.agreed) == 1 for view in page.items)
        if page.next is None:
            break
        before = page.next
    taken = time.perf_counter() - began
    invariant(job.completed == tasks == read, f"{job.completed} of {tasks} tasks completed, {read} read")
    return taken


async def loop(swarm: Swarm, tasks: int, window: int) -> list[float]:
    """Milliseconds of each task from its submission to its agreed end, by `window` clients at once."""
    taken: list[float] = []
    left = iter(range(tasks))

    async def one_after_another() -> None:
        async with AsyncClient(swarm.url, swarm.token) as client:
            await client.nodes()  # connected
            for index in left:
                began = time.perf_counter()
                created = await client.create_task(f"single {index}", executor="noop")
                job = await client.wait(created.job_id)
                taken.append((time.perf_counter() - began) * 1000)
                invariant(job.state == "completed", f"a no-op task ended {job.state}")

    await asyncio.gather(*(one_after_another() for _ in range(window)))
    return taken
