"""The WebSocket part of `api`: what an open subscriber costs in memory, and how fast events reach many.

Beside it: a bare `websockets` server that holds as many connections and sends as many messages of the same size.
"""

import asyncio
import resource
from pathlib import Path
from typing import Any

from quorate.app.bench.child import Child
from quorate.app.bench.figures import Figure, figure
from quorate.app.bench.swarm import Swarm
from quorate.base.limits import RING_EVENTS

FOLLOWERS = 100
OPEN_MOST = 5_000
DESCRIPTORS_SPARE = 500
WRITERS = 50


async def measure(place: Path, quick: bool) -> list[Figure]:
    """`api.ws_bytes`, `api.ws_events_s`."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    wanted, events, runs = (200, 500, 2) if quick else (OPEN_MOST, RING_EVENTS - 2 * WRITERS, 5)
    wanted = min(wanted, limit - DESCRIPTORS_SPARE)
    rates: list[float] = []
    bare_rates: list[float] = []
    async with Swarm(place / "sockets", 0, 1) as swarm:
        start = (await swarm.client.emit("bench", {"index": -1})).cursor
        sent = await _write_events(swarm, events)
        subscribe = {"type": "subscribe", "token": swarm.token, "events": ["note"]}
        order: dict[str, Any] = {"port": swarm.port, "path": "/ws", "events": sent}
        size = 0
        async with Child("ws_limit", place) as bare, Child("ws_clients", place) as clients:
            for _ in range(runs):
                got = await clients.ask(order | {"count": FOLLOWERS, "message": subscribe | {"since": start}})
                rates.append(got["messages"] / got["seconds"])
                size = got["bytes"] // got["messages"]
                their = {"port": bare.said["port"], "path": "/", "message": {"events": sent, "bytes": size}}
                got = await clients.ask(order | their | {"count": FOLLOWERS})
                bare_rates.append(got["messages"] / got["seconds"])
            cost = await _cost(swarm, clients, swarm.pid, order | {"count": wanted, "message": subscribe})
            their = {"port": bare.said["port"], "path": "/", "message": {"events": 0, "bytes": 0}, "count": wanted}
            bare_cost = await _cost(swarm, clients, bare.pid, order | their)
    return [
        figure("api.ws_bytes", [cost], f"{wanted} subscribers open, memory of the process (PSS)", limit=bare_cost),
        figure(
            "api.ws_events_s",
            rates,
            f"{FOLLOWERS} subscribers resume from a cursor and each reads {sent} events of {size} bytes; limit: a bare "
            "websockets server that sends as many prepared messages",
            {"websockets": bare_rates},
        ),
    ]


async def _write_events(swarm: Swarm, events: int) -> int:
    """Some thousand notes, in jobs of requests at once."""
    for first in range(0, events, WRITERS):
        await asyncio.gather(*(swarm.client.emit("bench", {"index": first + at}) for at in range(WRITERS)))
    return -(-events // WRITERS) * WRITERS


async def _cost(swarm: Swarm, clients: Child, pid: int, order: dict[str, Any]) -> float:
    """Bytes that one connection adds to a process."""
    before, _ = swarm.memory_mb(pid)
    await clients.ask(order | {"events": 0, "stay": True})
    after, _ = swarm.memory_mb(pid)
    await clients.ask({"leave": True})
    return (after - before) * 1e6 / int(order["count"])
