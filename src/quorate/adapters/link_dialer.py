"""A node's end of its link: a `Wire` over one WebSocket that comes back by itself, with backoff."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from quorate.adapters.link_hub import LINK_ID_BYTES, OPENING_ENTROPY_BYTES, local
from quorate.base.envelope import HEADER_BYTES
from quorate.base.errors import INVALID, QuorateError
from quorate.base.limits import LINK_MESSAGE_MAX_BYTES, RECONNECT_BASE_MS, RECONNECT_CAP_MS
from quorate.model import Envelope, MessageType
from quorate.ports import Entropy


def link_url(url: str) -> str:
    """The link's address for a coordinator's URL. Raises 1002 for what is no URL."""
    scheme, separator, rest = url.rstrip("/").partition("://")
    schemes = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
    if not separator or scheme not in schemes or not rest:
        raise QuorateError(INVALID, f"{url!r} is no coordinator URL", "Give it as http://host:8080")
    return f"{schemes[scheme]}://{rest}/link"


class LinkDialer:
    """`Wire` of a node. `say(event, **fields)` is its log."""

    def __init__(self, url: str, entropy: Entropy, say: Callable[..., Any]) -> None:
        self._url = link_url(url)
        self._entropy = entropy
        self._say = say
        self._socket: ClientConnection | None = None
        self._link = b""
        self._attempts = 0

    async def send(self, peer: bytes, message: Envelope) -> None:
        if self._socket is None or peer != self._link:
            return
        try:
            await self._socket.send(message.payload)
        except ConnectionClosed:
            return  # `receive` notices, and says so to the machine

    async def close(self, peer: bytes, reason: str) -> None:
        if self._socket is not None and peer == self._link:
            self._say("link closed", reason=reason)
            await self._socket.close(reason=reason[:120])

    async def receive(self) -> AsyncIterator[tuple[bytes, Envelope]]:
        while True:
            try:
                socket = await connect(
                    self._url,
                    max_size=LINK_MESSAGE_MAX_BYTES + HEADER_BYTES,
                    compression=None,
                    ping_interval=None,
                    close_timeout=1,
                    open_timeout=5,
                )
            except (OSError, InvalidHandshake, TimeoutError) as error:
                await self._pause(error)
                continue
            except InvalidURI as error:
                raise QuorateError(INVALID, str(error), "Give it as http://host:8080") from None
            async for item in self._serve(socket):
                yield item
            await self._pause(None)

    async def _serve(self, socket: ClientConnection) -> AsyncIterator[tuple[bytes, Envelope]]:
        link = self._entropy.bytes(LINK_ID_BYTES)
        self._socket, self._link = socket, link
        yield link, local(MessageType.LINK_OPENED, self._entropy.bytes(OPENING_ENTROPY_BYTES))
        try:
            async for frame in socket:
                if isinstance(frame, bytes):
                    self._attempts = 0
                    yield link, local(0, frame)
        except ConnectionClosed as error:
            self._say("link lost", reason=str(error))
        finally:
            self._socket, self._link = None, b""
            await socket.close()
        yield link, local(MessageType.LINK_CLOSED)

    async def _pause(self, error: BaseException | None) -> None:
        """Exponential backoff with full jitter."""
        self._attempts += 1
        cap_ms = min(RECONNECT_CAP_MS, RECONNECT_BASE_MS << min(self._attempts, 10))
        share = int.from_bytes(self._entropy.bytes(2), "big") / 0x10000
        if error is not None:
            self._say("no link", error=str(error), attempt=self._attempts)
        await asyncio.sleep((RECONNECT_BASE_MS + cap_ms * share) / 1000)
