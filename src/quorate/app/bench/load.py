"""A generator of HTTP load: prepared requests over connections that stay open, one at a time on each.

It parses no more of an answer than its status and length, so that it is not what is measured. Run as a child
process: it reads an order from the file named and prints what came of it.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgspec
from msgspec import Struct

from quorate.app.bench.child import say
from quorate.app.loops import run

_END, _LENGTH = b"\r\n\r\n", b"content-length: "


class Order(Struct):
    """Each of `requests` is sent once, whole as it is here."""

    port: int
    connections: int
    requests: list[bytes]


class Outcome(Struct):
    """Seconds from the first request to the last answer; answers by status; latencies in milliseconds."""

    seconds: float
    statuses: dict[int, int]
    latencies_ms: list[float]


class Connection(asyncio.Protocol):
    """One connection: sends the next request when the answer to the last is whole."""

    def __init__(self, left: Iterator[bytes], outcome: Outcome, done: "asyncio.Future[None]") -> None:
        self._left, self._outcome, self._done = left, outcome, done
        self._buffer = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def go(self) -> None:
        """Send the next request, if one is left."""
        request = next(self._left, None)
        if request is None:
            self._done.set_result(None)
            self._transport.close()
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(_END)
        if head < 0:
            return
        at = self._buffer.find(_LENGTH, 0, head)
        length = int(self._buffer[at + len(_LENGTH) : self._buffer.find(b"\r", at)]) if at >= 0 else 0
        if len(self._buffer) < head + len(_END) + length:
            return
        status = int(self._buffer[9:12])
        statuses = self._outcome.statuses
        statuses[status] = statuses.get(status, 0) + 1
        self._outcome.latencies_ms.append((time.perf_counter() - self._sent) * 1000)
        self._buffer = b""
        self.go()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("the server closed the connection"))


async def send(order: Order) -> Outcome:
    """Carry out one order."""
    event_loop = asyncio.get_running_loop()
    left, outcome = iter(order.requests), Outcome(0.0, {}, [])
    ends: list[asyncio.Future[None]] = []
    connections: list[Connection] = []
    for _ in range(order.connections):
        done: asyncio.Future[None] = event_loop.create_future()
        connection = Connection(left, outcome, done)
        await event_loop.create_connection(lambda made=connection: made, "127.0.0.1", order.port)  # type: ignore[misc]
        ends.append(done)
        connections.append(connection)
    began = time.perf_counter()
    for connection in connections:
        connection.go()
    await asyncio.gather(*ends)
    outcome.seconds = time.perf_counter() - began
    return outcome


async def serve(path: Path) -> None:
    """Carry out the order in a file."""
    say(await send(msgspec.msgpack.decode(path.read_bytes(), type=Order)))


if __name__ == "__main__":
    run(serve(Path(sys.argv[1])))
