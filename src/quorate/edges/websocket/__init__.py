"""WebSockets: `/ws` for programs and people, `/link` for nodes."""

from quorate.edges.websocket.link import LinkServer, link_route
from quorate.edges.websocket.subscribe import subscribe_route

__all__ = ["LinkServer", "link_route", "subscribe_route"]
