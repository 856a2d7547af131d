"""The MCP server itself, whatever carries its messages: lists tools, calls one, says what went wrong."""

from collections.abc import Awaitable, Callable
from typing import Any

from mcp.server import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams

from quorate import __version__
from quorate.base.errors import QuorateError
from quorate.edges.http import error_view
from quorate.edges.mcp.tools import AnyOperation, Toolbox, answered, refused

Context = ServerRequestContext[Any, Any]
Carry = Callable[[Context, AnyOperation, Any], Awaitable[Any]]
"""Runs an operation for whoever sent the request, and returns its result. Raises `QuorateError`."""

INSTRUCTIONS = (
    "A swarm of machines that nobody has to trust. Submit work with job_submit or task_create, wait with job_wait, "
    "read task_results, and take task_receipt: the proof of who computed what and who agreed."
)


def tool_server(toolbox: Toolbox, carry: Carry) -> Server[Any]:
    """A server whose tools are those of `toolbox`; `carry` runs them."""

    async def list_tools(context: Context, params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=list(toolbox.tools))

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        try:
            operation = toolbox.operation(params.name)
            given = toolbox.arguments(operation, params.arguments)
            return answered(await carry(context, operation, given))
        except QuorateError as error:
            return refused(error_view(error, str(context.request_id or ""))[0])

    return Server(
        "quorate",
        version=__version__,
        title="Quorate",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )
