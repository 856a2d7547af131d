"""The peer of `dispatch`: dask.distributed, ten worker processes of one thread each, no dashboard.

Its scheduler lives in the client's process, as `LocalCluster` has it, on one event loop. Nothing is written to
disk and nothing is signed. Run as a child process.
"""

import asyncio
import logging
import time
from typing import Any

import msgspec
from distributed import Client, LocalCluster

from quorate.app.bench.child import orders, say

_cluster: Any = LocalCluster
_client: Any = Client


def noop(value: int) -> int:
    """No work at all."""
    return value


async def batch(client: Any, tasks: int, first: int) -> float:
    """Seconds from the submission of all tasks to the last result."""
    began = time.perf_counter()
    futures = client.map(noop, range(first, first + tasks), pure=False)
    results = await client.gather(futures)
    taken = time.perf_counter() - began
    if results != list(range(first, first + tasks)):
        raise RuntimeError("dask returned other results")
    return taken


async def loop(client: Any, tasks: int, window: int, first: int) -> list[float]:
    """Milliseconds of each task from its submission to its result, `window` of them at a time."""
    taken: list[float] = []
    left = iter(range(first, first + tasks))

    async def one_after_another() -> None:
        for value in left:
            began = time.perf_counter()
            await client.submit(noop, value, pure=False)
            taken.append((time.perf_counter() - began) * 1000)

    await asyncio.gather(*(one_after_another() for _ in range(window)))
    return taken


async def serve() -> None:
    """Answer orders until the parent goes."""
    cluster: Any = _cluster(
        n_workers=10,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        asynchronous=True,
        silence_logs=logging.ERROR,
    )
    async with cluster, _client(cluster, asynchronous=True) as client:
        await client.wait_for_workers(10)
        reader = await orders()
        say({"workers": 10})
        first = 0
        while line := await reader.readline():
            order = msgspec.json.decode(line)
            if "window" in order:
                say(await loop(client, order["tasks"], order["window"], first))
            else:
                say(await batch(client, order["tasks"], first))
            first += order["tasks"]


if __name__ == "__main__":
    asyncio.run(serve())
