"""GET /api/v1/events/stream: every committed event, one message each; `id` is the cursor to resume on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from litestar import Request, Response, get
from litestar.response import Stream

from quorate.base.errors import DENIED, QuorateError, require
from quorate.edges.http import Gate, error_response
from quorate.services.coordinator import cursor_text, parse_cursor

BEAT_S = 10.0
STREAM = "/api/v1/events/stream"
"""Its path. Whatever compresses answers leaves it alone: an event would wait in a compressor for the next ones."""


def stream_route(gate: Gate) -> Any:
    """The route."""

    @get(STREAM, include_in_schema=False)
    async def stream(
        request: Request[Any, Any, Any], since: str | None = None, kind: str | None = None
    ) -> Response[Any]:
        try:
            principal = gate.admit(request.headers.get("authorization", ""), "event:read")
            require("event:read" in principal.rights, "the stream needs the right 'event:read'", DENIED)
            feed = gate.coordinator.feed
            cursor = request.headers.get("last-event-id") or since
            after = parse_cursor(cursor, feed.log).position if cursor else feed.position
        except QuorateError as error:
            return error_response(request, error)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return Stream(_messages(gate, after, kind or ""), media_type="text/event-stream", headers=headers)

    return stream


async def _messages(gate: Gate, after: int, kind: str) -> AsyncIterator[bytes]:
    feed = gate.coordinator.feed
    # An id without data: who is cut off before the first event resumes here, and misses none.
    yield b"id: %s\n: connected\n\n" % cursor_text(feed.log, after).encode()
    follow = feed.follow(after)
    waiting: asyncio.Task[Any] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(anext(follow))
            done, _ = await asyncio.wait((waiting,), timeout=BEAT_S)
            if not done:
                yield b": beat\n\n"
                continue
            try:
                batch, waiting = waiting.result(), None
            except QuorateError as error:  # the coordinator reloads: whoever follows comes again
                yield b": %s\n\n" % error.message.encode()
                return
            parts = [event for event in batch if not kind or event.view.kind == kind]
            if parts:
                yield b"".join(
                    b"id: %s\nevent: %s\ndata: %s\n\n" % (e.view.cursor.encode(), e.view.kind.encode(), e.json())
                    for e in parts
                )
    finally:
        if waiting is not None:
            waiting.cancel()
