"""What the tree keeps of an event: enough to fold it, to undo it and to know it again.

Knows the shape of work events; knows nothing of state. The checks here look at one event alone, so that
every replica judges it alike, whatever else it has seen.
Invariant: E1 an entry never changes, but for the position that its receipt gives it, once.
"""

import re
from typing import Any

import msgspec
from msgspec import Struct

from quorate.base.codec import from_json, to_json
from quorate.base.errors import INVALID, TOO_LARGE, ProtocolError, QuorateError, require
from quorate.base.ids import UUID_BYTES
from quorate.base.limits import (
    EVENT_DEPS_MAX,
    NAME_MAX_CHARS,
    TITLE_MAX_CHARS,
    WORK_COUNT_MAX,
    WORK_VALUE_MAX_BYTES,
)
from quorate.model.bodies import (
    WorkAdded,
    WorkCounted,
    WorkCreated,
    WorkMoved,
    WorkRemoved,
    WorkSet,
    WorkTombstoned,
)
from quorate.model.events import Event, Id

Body = WorkCreated | WorkSet | WorkAdded | WorkRemoved | WorkCounted | WorkMoved | WorkTombstoned

BODIES: dict[str, type[Body]] = {
    "work.created": WorkCreated,
    "work.set": WorkSet,
    "work.added": WorkAdded,
    "work.removed": WorkRemoved,
    "work.counted": WorkCounted,
    "work.moved": WorkMoved,
    "work.tombstoned": WorkTombstoned,
}
KIND_OF: dict[type[Struct], str] = {body: kind for kind, body in BODIES.items()}

_TOO_MANY_DEPS = f"more than {EVENT_DEPS_MAX} deps"
_NO_SUBJECT = f"a work node's id has {UUID_BYTES} bytes"
_KIND = re.compile(r"[a-z][a-z0-9_.\-]{0,63}")
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,63}")


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """One retained event. `position` None: no receipt yet."""

    id: Id
    subject: bytes
    actor: bytes
    seq: int
    hlc: int
    deps: tuple[Id, ...]
    body: Body
    position: int | None

    def at(self, position: int) -> "Entry":
        """This entry with its receipt's position."""
        return msgspec.structs.replace(self, position=position)


Order = tuple[int, int, Id]


def order_of(entry: Entry) -> Order:
    """Receipt order; what has no receipt follows, by its clock."""
    if entry.position is None:
        return (1, entry.hlc, entry.id)
    return (0, entry.position, entry.id)


def entry_of(id: Id, event: Event, body: Struct, position: int | None) -> Entry:
    """The entry of an event as it came. Raises `ProtocolError` if no replica could fold it."""
    expected = BODIES.get(event.kind)
    if expected is None or type(body) is not expected:
        raise ProtocolError(INVALID, f"{event.kind!r} with a {type(body).__name__} is no work event")
    assert isinstance(body, expected)
    try:
        require(len(event.deps) <= EVENT_DEPS_MAX, _TOO_MANY_DEPS, TOO_LARGE)
        require(position is None or position > 0, "positions in a log start at 1")
        check_subject(event.subject)
        check_body(body)
    except QuorateError as error:
        raise ProtocolError(error.code, error.message) from None
    return Entry(id, event.subject, event.actor, event.seq, event.hlc, event.deps, body, position)


def check_subject(subject: bytes) -> None:
    require(len(subject) == UUID_BYTES, _NO_SUBJECT)


def check_body(body: Body) -> None:
    """Raise 1002 or 1007 unless `body` is well formed."""
    if isinstance(body, WorkSet):
        check_field(body.field)
        check_value(body.value)
    elif isinstance(body, WorkAdded | WorkRemoved):
        check_field(body.field)
        require(body.item, f"an item of {body.field} is empty")
        check_text(body.item, NAME_MAX_CHARS, f"an item of {body.field}")
    elif isinstance(body, WorkCounted):
        check_field(body.field)
        require(abs(body.by) <= WORK_COUNT_MAX, f"{body.field} by more than {WORK_COUNT_MAX}", TOO_LARGE)
    elif isinstance(body, WorkCreated):
        require(_KIND.fullmatch(body.kind), f"{body.kind[:80]!r} is no kind: {_KIND.pattern}")
        check_text(body.title, TITLE_MAX_CHARS, "title")
        check_parent(body.parent)
    elif isinstance(body, WorkMoved):
        check_parent(body.parent)
    else:
        check_text(body.reason, TITLE_MAX_CHARS, "reason")


def check_parent(parent: bytes) -> None:
    require(len(parent) in (0, UUID_BYTES), f"a parent has {UUID_BYTES} bytes or none, not {len(parent)}")


def check_field(field: str) -> None:
    if not _FIELD.fullmatch(field):
        raise QuorateError(INVALID, f"{field[:80]!r} is no field name: {_FIELD.pattern}")


def check_text(text: object, max_chars: int, what: str) -> None:
    """Raise unless `text` can be stored and shown everywhere."""
    if not isinstance(text, str):  # a value from JSON
        raise QuorateError(INVALID, f"{what} is not text")
    if len(text) > max_chars:
        raise QuorateError(TOO_LARGE, f"{what} has {len(text)} characters, at most {max_chars}")
    if "\0" in text:
        raise QuorateError(INVALID, f"{what} contains NUL")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise QuorateError(INVALID, f"{what} is not Unicode")


def check_value(value: bytes) -> None:
    """Raise unless `value` is JSON that can be stored and shown everywhere."""
    size = len(value)
    if size > WORK_VALUE_MAX_BYTES:
        raise QuorateError(TOO_LARGE, f"a value of {size} bytes, at most {WORK_VALUE_MAX_BYTES}")
    decoded = from_json(value, object)
    # A backslash that is itself escaped may stand before u0000: only then is the walk worth its time.
    require(b"u0000" not in value or not _has_nul(decoded), "a value contains NUL")


def _has_nul(value: Any) -> bool:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str) and "\0" in item:
            return True
        if isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, dict):
            pending.extend(item.keys())
            pending.extend(item.values())
    return False


def value_bytes(value: Any) -> bytes:
    """JSON of a register's value. Raises 1002 if it has none, 1007 if it is too large."""
    try:
        data = to_json(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise QuorateError(INVALID, f"the value is not JSON: {error}") from None
    check_value(data)
    return data
