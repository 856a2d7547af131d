"""A generator of WebSocket load: many subscribers in one process that count what they are sent.

Speaks just enough of RFC 6455 to open, subscribe and count frames. Run as a child process.
"""

import asyncio
import time
from typing import Any, cast

import msgspec

from quorate.app.bench.child import orders, say
from quorate.app.loops import run

_OPEN = (
    "GET {path} HTTP/1.1\r\nhost: bench\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
    "sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n"
)
_TEXT, _MASKED = 0x81, 0x80
OPENING_AT_ONCE = 100


def text_frame(data: bytes) -> bytes:
    """A masked text frame (RFC 6455 section 5.2); the mask is zero, which leaves the bytes as they are."""
    if len(data) < 126:
        return bytes((_TEXT, _MASKED | len(data))) + bytes(4) + data
    return bytes((_TEXT, _MASKED | 126)) + len(data).to_bytes(2, "big") + bytes(4) + data


class Subscriber(asyncio.Protocol):
    """One connection. `opened` when the server has said yes, `full` after so many messages."""

    def __init__(self, path: str, events: int) -> None:
        event_loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = event_loop.create_future()
        self.full: asyncio.Future[None] = event_loop.create_future()
        self.messages = self.bytes = 0
        self._path = path
        self._wanted = events + 1  # the first says that it has subscribed
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(_OPEN.format(path=self._path).encode())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self.opened.done():
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if end:
                self._buffer = rest
                if head.startswith(b"HTTP/1.1 101"):
                    self.opened.set_result(None)
                else:
                    self.opened.set_exception(ConnectionError(head.decode(errors="replace")))
            return
        self._count()

    def _count(self) -> None:
        buffer, at = self._buffer, 0
        while len(buffer) >= at + 2:
            size, start = buffer[at + 1], at + 2
            if size == 126:
                size, start = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, start = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10
            if len(buffer) < start + size:
                break
            self.messages += 1
            self.bytes += size
            at = start + size
        self._buffer = buffer[at:]
        if self.messages >= self._wanted and not self.full.done():
            self.full.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        for future in (self.opened, self.full):
            if not future.done():
                future.set_exception(exc or ConnectionError("the server closed the connection"))
                future.exception()  # told to whoever waits for it, if anybody does


async def subscribe(order: dict[str, Any]) -> tuple[list[Subscriber], float]:
    """Open all, then subscribe all at once; seconds from then until each has what it waits for."""
    subscribers: list[Subscriber] = []
    event_loop = asyncio.get_running_loop()
    for first in range(0, order["count"], OPENING_AT_ONCE):
        some = [Subscriber(order["path"], order["events"]) for _ in range(min(OPENING_AT_ONCE, order["count"] - first))]
        for one in some:
            await event_loop.create_connection(lambda made=one: made, "127.0.0.1", order["port"])  # type: ignore[misc]
        await asyncio.gather(*(one.opened for one in some))
        subscribers += some
    message = text_frame(msgspec.json.encode(order["message"]))
    began = time.perf_counter()
    for one in subscribers:
        one.transport.write(message)
    await asyncio.gather(*(one.full for one in subscribers))
    return subscribers, time.perf_counter() - began


async def serve() -> None:
    """Answer orders until the parent goes."""
    reader = await orders()
    say({})
    staying: list[Subscriber] = []
    while line := await reader.readline():
        order = msgspec.json.decode(line)
        if "leave" in order:
            seconds = 0.0
        else:
            staying, seconds = await subscribe(order)
        messages, size = (sum(getattr(one, what) for one in staying) for what in ("messages", "bytes"))
        if not order.get("stay"):
            for one in staying:
                one.transport.close()
            staying = []
        say({"seconds": seconds, "messages": messages, "bytes": size})


if __name__ == "__main__":
    run(serve())
