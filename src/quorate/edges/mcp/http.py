"""MCP over streamable HTTP: an ASGI app without sessions, each request with a bearer token of its own.

Invariants: H1 no message is read of a request whose token does not hold. H2 a tool runs with the rights of
the token of the very request that calls it.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from quorate.base.errors import RATE_LIMITED, UNAUTHENTICATED, QuorateError
from quorate.base.limits import BODY_MAX_BYTES
from quorate.edges.http import Gate, error_view
from quorate.edges.mcp.server import Context, tool_server
from quorate.edges.mcp.tools import AnyOperation, Toolbox
from quorate.services.coordinator import run_operation

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
PRINCIPAL = "quorate.principal"


def streamable_app(gate: Gate, operations: tuple[AnyOperation, ...]) -> App:
    """The ASGI app. It starts with its first request and ends with the loop that runs it."""

    async def carry(context: Context, operation: AnyOperation, given: Any) -> Any:
        assert context.request is not None
        return await run_operation(gate.coordinator, operation, context.request.scope[PRINCIPAL], given)

    server = tool_server(Toolbox(operations), carry)
    manager = StreamableHTTPSessionManager(
        server, stateless=True, json_response=True, max_request_body_size=BODY_MAX_BYTES
    )
    running = _Running(manager)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            scope[PRINCIPAL] = gate.admit(_header(scope, b"authorization"), "mcp")
            if scope["method"] == "GET":  # a stream of what the server says unasked: it says nothing
                await _answer(send, 405, b"", [(b"allow", b"POST")])
                return
            await running.started()
        except QuorateError as error:
            view, status = error_view(error, secrets.token_hex(8))
            headers = [(b"content-type", b"application/json"), (b"x-request-id", view.request_id.encode())]
            headers += [(b"www-authenticate", b"Bearer")] if view.code == UNAUTHENTICATED else []
            headers += [(b"retry-after", b"1")] if view.code == RATE_LIMITED else []
            await _answer(send, status, msgspec.json.encode(view), headers)
            return
        await manager.handle_request(scope, receive, send)

    return app


class _Running:
    """Keeps the lifespan of a manager open in a task of its own: its scope is closed by the task that opened it."""

    def __init__(self, manager: StreamableHTTPSessionManager) -> None:
        self._manager = manager
        self._task: asyncio.Task[None] | None = None
        self._up = asyncio.Event()

    async def started(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        await self._up.wait()

    async def _run(self) -> None:
        async with self._manager.run():
            self._up.set()
            await asyncio.get_running_loop().create_future()


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
