"""Front doors: parse, call an operation, render. No logic of their own."""

__all__ = ["http", "mcp", "rest", "sse", "websocket"]
