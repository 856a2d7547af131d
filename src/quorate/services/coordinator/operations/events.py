"""The event log: read, written to, and handed out raw for anyone to verify."""

from typing import Any

from msgspec import Struct

from quorate.base.codec import pack, to_json
from quorate.base.errors import INVALID, TOO_LARGE, QuorateError, require
from quorate.base.ids import parse_id
from quorate.base.limits import EVENT_BODY_MAX_BYTES, NAME_MAX_CHARS, PAGE_DEFAULT, PAGE_MAX, READ_BATCH_EVENTS
from quorate.base.names import is_clean
from quorate.model import Noted, Operation, Sealed
from quorate.model.views import EventView
from quorate.services.coordinator.context import Call
from quorate.services.coordinator.feed import cursor_text, parse_cursor
from quorate.services.coordinator.messages import Offer, Write

SCAN_BATCHES = 20
LOG_PAGE_EVENTS = READ_BATCH_EVENTS


class EventQuery(Struct, rename="camel", forbid_unknown_fields=True):
    """`since` is a cursor (exact), or a hybrid clock value: then it only picks where to start."""

    since: str = ""
    kind: str = ""
    subject: str = ""
    limit: int = PAGE_DEFAULT


class EventPage(Struct, rename="camel"):
    """`next` resumes exactly after the last event looked at."""

    items: list[EventView]
    next: str


class EventNew(Struct, rename="camel", forbid_unknown_fields=True):
    type: str
    data: Any = None
    subject: str = ""


class ReceiptOut(Struct, rename="camel"):
    """`position` in `log` at `epoch`; `code` 0: admitted."""

    log: str
    epoch: int
    position: int
    event: str
    code: int
    cursor: str


class SealedIn(Struct, rename="camel", forbid_unknown_fields=True):
    """A sealed event, hexadecimal."""

    head: str
    salt: str
    body: str | None
    sig: str | None


class OfferIn(Struct, rename="camel", forbid_unknown_fields=True):
    events: list[SealedIn]


class ReceiptsOut(Struct, rename="camel"):
    receipts: list[ReceiptOut]


class LogQuery(Struct, rename="camel", forbid_unknown_fields=True):
    after: int = 0
    limit: int = LOG_PAGE_EVENTS


class LogPage(Struct, rename="camel"):
    """Events as they lie on disk, from position `after` + 1, hexadecimal. `head`: the best cosigned head, packed."""

    log: str
    size: int
    head: str
    events: list[SealedIn]


async def list_events(call: Call, given: EventQuery) -> EventPage:
    """Events after a cursor, oldest first."""
    require(1 <= given.limit <= PAGE_MAX, f"limit is 1 to {PAGE_MAX}")
    feed = call.coordinator.feed
    after, earliest = _start(call, given.since)
    items: list[EventView] = []
    for _ in range(SCAN_BATCHES):
        batch = await feed.read(after, PAGE_MAX) if after < feed.position else []
        for event in batch:
            after = event.position
            view = event.view
            fits = (not given.kind or view.kind == given.kind) and (not given.subject or view.subject == given.subject)
            if fits and int(view.hlc) >= earliest:
                items.append(view)
            if len(items) == given.limit:
                return EventPage(items, cursor_text(feed.log, after))
        if not batch:
            break
    return EventPage(items, cursor_text(feed.log, after))


def _start(call: Call, since: str) -> tuple[int, int]:
    if not since:
        return 0, 0
    if since.isdecimal() and len(since) < 20:
        return 0, int(since)
    return parse_cursor(since, call.coordinator.feed.log).position, 0


async def emit_event(call: Call, given: EventNew) -> ReceiptOut:
    """Write an event of your own: it is kept, receipted and fanned out."""
    require(0 < len(given.type) <= NAME_MAX_CHARS and is_clean(given.type), "the type is empty, long or unprintable")
    data = to_json(given.data)
    require(len(data) <= EVENT_BODY_MAX_BYTES // 2, "the data is over the limit of an event", TOO_LARGE)
    require(len(given.subject) in (0, 32, 64), "the subject is a task, agent or node id", INVALID)
    subject = parse_id(given.subject, len(given.subject) // 2, "subject") if given.subject else b""
    written = await call.write(Write("note", subject, Noted(given.type, data)))
    return _out(written.receipts[0])


async def offer_events(call: Call, given: OfferIn) -> ReceiptsOut:
    """Hand in events that their own actors signed; each is judged and receipted, all or none."""
    sealed: list[Sealed] = []
    for index, event in enumerate(given.events):
        try:
            body = None if event.body is None else bytes.fromhex(event.body)
            sig = None if event.sig is None else bytes.fromhex(event.sig)
            sealed.append(Sealed(bytes.fromhex(event.head), bytes.fromhex(event.salt), body, sig))
        except ValueError:
            raise QuorateError(INVALID, f"events[{index}] is not hexadecimal") from None
    written = await call.write(Offer(tuple(sealed)))
    return ReceiptsOut([_out(receipt) for receipt in written.receipts])


def _out(receipt: Any) -> ReceiptOut:
    log = receipt.log.hex()
    cursor = cursor_text(receipt.log, receipt.position)
    return ReceiptOut(log, receipt.epoch, receipt.position, receipt.event.hex(), receipt.code, cursor)


async def log_page(call: Call, given: LogQuery) -> LogPage:
    """The log as it lies on disk, page by page: what `quorate log verify` reads."""
    require(1 <= given.limit <= LOG_PAGE_EVENTS, f"limit is 1 to {LOG_PAGE_EVENTS}")
    require(given.after >= 0, "after is a position")
    feed = call.coordinator.feed
    events = await feed.read(given.after, given.limit) if given.after < feed.position else []
    head = call.coordinator.machine.heads.best()
    return LogPage(
        feed.log.hex(),
        feed.position,
        pack(head).hex() if head is not None else "",
        [
            SealedIn(
                e.sealed.head.hex(),
                e.sealed.salt.hex(),
                None if e.sealed.body is None else e.sealed.body.hex(),
                None if e.sealed.sig is None else e.sealed.sig.hex(),
            )
            for e in events
        ],
    )


OPERATIONS = (
    Operation(
        "event_list",
        EventQuery,
        EventPage,
        "event:read",
        True,
        list_events,
        ("GET", "/events"),
        ("event_list",),
        "events",
        (("GET", "/api/events"),),
    ),
    Operation(
        "event_emit",
        EventNew,
        ReceiptOut,
        "event:emit",
        True,
        emit_event,
        ("POST", "/events"),
        ("event_emit",),
        None,
        (("POST", "/api/events"),),
        201,
    ),
    Operation(
        "event_offer",
        OfferIn,
        ReceiptsOut,
        "event:emit",
        True,
        offer_events,
        ("POST", "/events/sealed"),
        (),
        None,
        (),
        201,
    ),
    Operation("log_page", LogQuery, LogPage, "event:read", True, log_page, ("GET", "/log"), (), "log verify"),
)
