"""The event stream as server-sent events, resumed by Last-Event-ID."""

from quorate.edges.sse.stream import stream_route

__all__ = ["stream_route"]
