"""`quorate mcp`: the tools of a coordinator on standard input and output, for a model's program on this machine."""

import asyncio
import importlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from quorate.app.ask import token_of
from quorate.app.packs import load_packs
from quorate.base.errors import UNSUPPORTED, QuorateError, require
from quorate.client import AsyncClient
from quorate.model import Operation
from quorate.services.coordinator import OPERATIONS


def main(url: str, token: str, data: Path) -> None:
    """Serve until standard input ends."""
    try:
        edge = importlib.import_module("quorate.edges.mcp")
        stdio = importlib.import_module("mcp.server.stdio")
    except ImportError as error:
        raise QuorateError(UNSUPPORTED, f"MCP is not installed: {error}", "pip install 'quorate[mcp]'") from None
    asyncio.run(_serve(edge, stdio, url, token_of(token, data)))


async def _serve(edge: Any, stdio: Any, url: str, token: str) -> None:
    async with AsyncClient(url, token) as client:

        async def carry(context: Any, operation: Operation[Any, Any], given: Any) -> Any:
            return await call(client, operation, given)

        operations = OPERATIONS + tuple(op for pack in load_packs() for op in pack.operations)
        server = edge.tool_server(edge.Toolbox(operations), carry)
        async with stdio.stdio_server() as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())


async def call(client: AsyncClient, operation: Operation[Any, Any], given: Any) -> Any:
    """Ask a coordinator for an operation by its route."""
    assert operation.rest is not None, f"tool {operation.name} has a route"
    method, path = operation.rest
    fields: dict[str, Any] = msgspec.to_builtins(given)
    route = "/".join(_segment(fields.pop(part[1:-1])) if part.startswith("{") else part for part in path.split("/"))
    if method in ("POST", "PUT", "PATCH"):
        return await client.call(method, route, fields)
    return await client.call(method, route, **fields)


def _segment(value: Any) -> str:
    """A value as one segment of a path, whatever is in it."""
    text = str(value)
    require(text.strip("."), f"{text!r} names nothing")
    return quote(text, safe="")
