"""MCP: the operations as tools of a model, over streamable HTTP and over standard input and output."""

from quorate.edges.mcp.http import streamable_app
from quorate.edges.mcp.server import tool_server
from quorate.edges.mcp.tools import Toolbox

__all__ = ["Toolbox", "streamable_app", "tool_server"]
