"""The event stream as server-sent events, resumed by Last-Event-ID."""

from quorate.edges.sse.stream import STREAM, stream_route

__all__ = ["STREAM", "stream_route"]
