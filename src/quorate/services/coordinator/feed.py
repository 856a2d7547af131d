"""The event stream: what is on disk, to whoever follows, from any cursor.

There is no queue per follower: each reads the ring (or, further back, the journal) at its own pace,
so a slow one costs nothing and misses nothing. Invariant: F1 only committed events are seen.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from quorate.base.codec import to_json, unpack
from quorate.base.errors import DATABASE, INVALID, NOT_FOUND, RATE_LIMITED, QuorateError, require
from quorate.base.hlc import millis_of
from quorate.base.ids import hash_id
from quorate.base.limits import READ_BATCH_EVENTS, RING_EVENTS, SUBSCRIBERS_MAX
from quorate.model import KINDS, Cursor, Event, Sealed, TaskSettled
from quorate.model.views import EventView
from quorate.ports import Store


def plain(value: Any) -> Any:
    """A struct as plain JSON values: bytes as hexadecimal, structs as objects."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value


def cursor_text(log: bytes, position: int) -> str:
    return f"{log.hex()}.{position}"


def parse_cursor(text: str, log: bytes) -> Cursor:
    """The cursor in `text`; it must be of this log. Raises 1002, 1000."""
    name, _, position = text.partition(".")
    require(position.isdecimal() and len(position) < 19, f"{text[:80]!r} is no cursor", INVALID)
    require(name == log.hex(), "the cursor belongs to another log", NOT_FOUND)
    return Cursor(log, int(position))


class _Unread:
    """In place of what was not looked for yet."""


_UNREAD = _Unread()


class Published:
    """One committed event; what is read out of it is read once, whoever asks."""

    __slots__ = ("_settled", "_view", "log", "position", "sealed")

    def __init__(self, log: bytes, position: int, sealed: Sealed) -> None:
        self.log = log
        self.position = position
        self.sealed = sealed
        self._view: EventView | None = None
        self._settled: TaskSettled | _Unread | None = _UNREAD

    @property
    def settled(self) -> TaskSettled | None:
        """The end of a task, if this event is one."""
        if isinstance(self._settled, _Unread):
            body = self.sealed.body
            ends = body is not None and unpack(self.sealed.head, Event).kind == "task.settled"
            self._settled = unpack(body or b"", TaskSettled) if ends else None
        return self._settled

    @property
    def view(self) -> EventView:
        if self._view is None:
            self._view = render(self.log, self.position, self.sealed)
        return self._view

    def json(self) -> bytes:
        return to_json(self.view)


def render(log: bytes, position: int, sealed: Sealed) -> EventView:
    """An event as the edges show it."""
    event = unpack(sealed.head, Event)
    body: Any = None
    if sealed.body is not None:
        known = KINDS.get(event.kind)
        decoded: Any = unpack(sealed.body, known[0]) if known else msgspec.msgpack.decode(sealed.body)
        body = plain(decoded)
        if event.kind == "note":
            body["data"] = msgspec.json.decode(decoded.data or b"null")
        elif event.kind == "work.set":
            body["value"] = msgspec.json.decode(decoded.value or b"null")
    return EventView(
        cursor=cursor_text(log, position),
        position=position,
        id=hash_id(sealed.head).hex(),
        kind=event.kind,
        subject=event.subject.hex(),
        actor=event.actor.hex(),
        seq=event.seq,
        hlc=str(event.hlc),
        grant=event.grant.hex(),
        at_ms=millis_of(event.hlc),
        body=body,
    )


class Feed:
    """Committed events of one log."""

    def __init__(self, log: bytes, store: Store, position: int) -> None:
        self.log = log
        self.position = position
        self._store = store
        self._ring: deque[Published] = deque(maxlen=RING_EVENTS)
        self._news: asyncio.Future[None] | None = None
        self._ended = False
        self.followers = 0

    def publish(self, first: int, events: Sequence[Sealed]) -> list[Published]:
        """Events that a commit made durable, `first` being the position of the first."""
        published = [Published(self.log, first + index, sealed) for index, sealed in enumerate(events)]
        self._ring.extend(published)
        self.position = first + len(events) - 1
        self._wake()
        return published

    def end(self) -> None:
        """The coordinator reloads and makes a new feed: whoever follows this one is told to come again."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)

    async def read(self, after: int, limit: int) -> list[Published]:
        """At most `limit` committed events after a position."""
        if self._ring and after >= self._ring[0].position - 1:
            start = after - self._ring[0].position + 1
            return [self._ring[i] for i in range(start, min(start + limit, len(self._ring)))]
        return [
            Published(self.log, position, sealed)
            async for position, sealed in self._store.read(after, min(limit, self.position - after))
        ]

    async def follow(self, after: int) -> AsyncGenerator[list[Published], None]:
        """Batches of events after a position, without end. Raises 1004 when too many follow, 2000 on a reload."""
        if self.followers >= SUBSCRIBERS_MAX:
            raise QuorateError(RATE_LIMITED, f"{SUBSCRIBERS_MAX} followers already")
        self.followers += 1
        try:
            while True:
                if self._ended:
                    raise QuorateError(DATABASE, "the coordinator reloads", "Follow again from the last cursor")
                if after < self.position:
                    batch = await self.read(after, READ_BATCH_EVENTS)
                    after = batch[-1].position
                    yield batch
                else:
                    if self._news is None:
                        self._news = asyncio.get_running_loop().create_future()
                    await asyncio.shield(self._news)
        finally:
            self.followers -= 1
