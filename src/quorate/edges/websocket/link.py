"""`/link`: the door for nodes. Frames pass through; the coordinator's machine judges them."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect
from litestar.handlers import websocket

from quorate.base.envelope import HEADER_BYTES
from quorate.base.limits import LINK_MESSAGE_MAX_BYTES


class LinkServer(Protocol):
    """Carries frames between a socket and the coordinator until either ends."""

    async def serve(
        self, receive: Callable[[], Awaitable[bytes | None]], send: Callable[[bytes], Awaitable[None]]
    ) -> str:
        """Returns the reason for the end."""


def link_route(server: LinkServer) -> Any:
    """The route."""

    @websocket("/link")
    async def link(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()

        async def receive() -> bytes | None:
            try:
                message = await socket.receive()
            except WebSocketDisconnect:
                return None
            if message["type"] != "websocket.receive":
                return None
            data = message.get("bytes")
            return data if data is not None and len(data) <= LINK_MESSAGE_MAX_BYTES + HEADER_BYTES else b""

        async def send(frame: bytes) -> None:
            await socket.send_bytes(frame)

        reason = await server.serve(receive, send)
        if socket.connection_state not in ("disconnect",):
            try:
                await socket.close(code=1000, reason=reason[:120])
            except (RuntimeError, WebSocketDisconnect):
                return  # the other side was faster

    return link
