"""The coordinator's end of all links: a `Wire` over whatever sockets the edge hands in.

Each link has a bounded outgoing queue and a writer of its own: a peer that does not read is cut off
when its queue is full, and never holds up the others.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from quorate.base.limits import LINK_INBOX_MESSAGES, LINK_QUEUE_MESSAGES
from quorate.model import Envelope, MessageType
from quorate.ports import Entropy

LINK_ID_BYTES = 16
OPENING_ENTROPY_BYTES = 64


def local(msg_type: int, payload: bytes = b"") -> Envelope:
    """An envelope that never travels: what happened to a link, or a frame as it came."""
    return Envelope(0, 0, 0, 0, msg_type, 0, b"", 0, payload)


class _Link:
    def __init__(self) -> None:
        self.outgoing: asyncio.Queue[bytes | None] = asyncio.Queue(LINK_QUEUE_MESSAGES)
        self.reason = ""

    def end(self, reason: str) -> None:
        """Let the writer send what is queued, then end."""
        self.reason = self.reason or reason
        if self.outgoing.full():
            self.outgoing.get_nowait()
        self.outgoing.put_nowait(None)


class LinkHub:
    """`Wire` of a coordinator. An edge calls `serve` for each socket."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._links: dict[bytes, _Link] = {}
        self._incoming: asyncio.Queue[tuple[bytes, Envelope]] = asyncio.Queue(LINK_INBOX_MESSAGES)
        self.cut_off = 0

    async def send(self, peer: bytes, message: Envelope) -> None:
        link = self._links.get(peer)
        if link is None:
            return
        if link.outgoing.full():
            self.cut_off += 1
            link.end("the peer does not read")
            return
        link.outgoing.put_nowait(message.payload)

    async def receive(self) -> AsyncIterator[tuple[bytes, Envelope]]:
        while True:
            yield await self._incoming.get()

    async def close(self, peer: bytes, reason: str) -> None:
        link = self._links.pop(peer, None)
        if link is not None:
            link.end(reason)

    async def serve(
        self, receive: Callable[[], Awaitable[bytes | None]], send: Callable[[bytes], Awaitable[None]]
    ) -> str:
        """Carry frames of one socket until either side ends; the reason."""
        id, link = self._entropy.bytes(LINK_ID_BYTES), _Link()
        self._links[id] = link
        opened = local(MessageType.LINK_OPENED, self._entropy.bytes(OPENING_ENTROPY_BYTES))
        await self._incoming.put((id, opened))
        writer = asyncio.create_task(self._write(link, send))
        reader = asyncio.create_task(self._read(id, receive))
        try:
            await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._links.pop(id, None)
            writer.cancel()
            reader.cancel()
            await asyncio.gather(writer, reader, return_exceptions=True)
            await self._incoming.put((id, local(MessageType.LINK_CLOSED)))
        return link.reason or "the peer went away"

    async def _write(self, link: _Link, send: Callable[[bytes], Awaitable[None]]) -> None:
        while (frame := await link.outgoing.get()) is not None:
            try:
                await send(frame)
            except (OSError, RuntimeError) as error:
                link.reason = link.reason or f"sending failed: {error}"
                return

    async def _read(self, id: bytes, receive: Callable[[], Awaitable[bytes | None]]) -> None:
        while (frame := await receive()) is not None:
            await self._incoming.put((id, local(0, frame)))
