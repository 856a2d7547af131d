"""From a user's wish to events: the bodies and the `deps` that say what they replace, in the present state.

Pure: reads the state, changes nothing. Raises `QuorateError`: 1000 no such node, item or parent, 1006 for a
tombstoned node, a circle or a field of another kind, 1007 over a limit, 1002 for what is not well formed.
A wish that is already so (an item that is in, a place where it is) drafts nothing.
"""

from typing import Any

from quorate.base.errors import CONFLICT, INVALID, NOT_FOUND, QuorateError, require
from quorate.base.limits import EVENT_DEPS_MAX, NAME_MAX_CHARS, TITLE_MAX_CHARS, WORK_VALUE_MAX_BYTES
from quorate.model.bodies import (
    WorkAdded,
    WorkCounted,
    WorkCreated,
    WorkMoved,
    WorkRemoved,
    WorkSet,
    WorkTombstoned,
)
from quorate.model.events import Id
from quorate.work.admission import Admission
from quorate.work.entries import KIND_OF, Body, Entry, check_body, check_field, check_subject, check_text, value_bytes
from quorate.work.nodes import Node
from quorate.work.projection import ASSIGNEE, STATES, STATUS, TASK, TITLE

DraftOf = tuple[str, Body, tuple[Id, ...]]
"""(kind, body, deps): what the caller seals."""

_TEXTS = {TITLE: TITLE_MAX_CHARS, ASSIGNEE: NAME_MAX_CHARS, STATUS: NAME_MAX_CHARS, "description": WORK_VALUE_MAX_BYTES}


def create(room: Admission, subject: bytes, kind: str, title: str, parent: bytes) -> list[DraftOf]:
    """A new node below `parent` (empty: a root)."""
    check_subject(subject)
    require(subject != parent, "a node is not its own parent", CONFLICT)
    _check_parent(room, parent)
    # What hung below a creation that was retracted still names it as its parent.
    require(not room.tree.circles(subject, parent), "the parent is below this node", CONFLICT)
    body = WorkCreated(kind, title, parent)
    return [_draft(room, subject, body, ())]


def write(room: Admission, subject: bytes, field: str, value: Any) -> list[DraftOf]:
    """A register written: it replaces the newest heads, as many as an event may name."""
    node = _node(room, subject)
    check_field(field)
    _check_use(node, field, "registers")
    _check_known_field(node, field, value)
    heads = node.registers.get(field, ())[:EVENT_DEPS_MAX]
    body = WorkSet(field, value_bytes(value))
    return [_draft(room, subject, body, tuple(head.id for head in heads))]


def add(room: Admission, subject: bytes, field: str, item: str) -> list[DraftOf]:
    """An item into a set."""
    node = _node(room, subject)
    body = WorkAdded(field, item)
    check_body(body)
    _check_use(node, field, "sets")
    if field in node.sets and item in node.sets[field].items:
        return []
    return [_draft(room, subject, body, ())]


def remove(room: Admission, subject: bytes, field: str, item: str) -> list[DraftOf]:
    """An item out of a set: all its dots, in as many events as they need."""
    node = _node(room, subject)
    body = WorkRemoved(field, item)
    check_body(body)
    held = node.sets.get(field)
    dots = held.items.get(item, ()) if held else ()
    require(dots, f"{item!r} is not in {field}", NOT_FOUND)
    chunks = [dots[at : at + EVENT_DEPS_MAX] for at in range(0, len(dots), EVENT_DEPS_MAX)]
    return [_draft(room, subject, body, chunk) for chunk in chunks]


def count(room: Admission, subject: bytes, field: str, by: int) -> list[DraftOf]:
    """A counter up or down."""
    node = _node(room, subject)
    check_field(field)
    require(type(by) is int, f"{field} counts whole numbers")
    _check_use(node, field, "counters")
    return [_draft(room, subject, WorkCounted(field, by), ())]


def move(room: Admission, subject: bytes, parent: bytes) -> list[DraftOf]:
    """A node below another parent (empty: a root)."""
    _node(room, subject)
    _check_parent(room, parent)
    require(not room.tree.circles(subject, parent), "a node cannot be moved below itself", CONFLICT)
    if room.tree.parents.get(subject) == parent:
        return []
    return [_draft(room, subject, WorkMoved(parent), ())]


def tombstone(room: Admission, subject: bytes, reason: str) -> list[DraftOf]:
    """The end of a node."""
    _node(room, subject)
    return [_draft(room, subject, WorkTombstoned(reason), ())]


def _draft(room: Admission, subject: bytes, body: Body, deps: tuple[Id, ...]) -> DraftOf:
    check_body(body)
    # Only a draft: id, actor and clock come when it is sealed, and none of them decides whether there is room.
    room.judge(Entry(b"", subject, b"", 0, 0, deps, body, None))
    return KIND_OF[type(body)], body, deps


def _node(room: Admission, subject: bytes) -> Node:
    check_subject(subject)
    node = room.nodes.get(subject)
    if node is None or node.creation is None:
        raise QuorateError(NOT_FOUND, f"no work node {subject.hex()}")
    require(not node.tombstones, f"work node {subject.hex()} is tombstoned", CONFLICT)
    return node


def _check_parent(room: Admission, parent: bytes) -> None:
    if not parent:
        return
    node = room.nodes.get(parent)
    if node is None or node.creation is None:
        raise QuorateError(INVALID, f"no work node {parent.hex()} to be the parent")
    require(not node.tombstones, f"the parent {parent.hex()} is tombstoned", CONFLICT)


def _check_use(node: Node, field: str, use: str) -> None:
    """A field is a register, a set or a counter: whoever writes first says which."""
    for other in ("registers", "sets", "counters"):
        taken = other != use and field in getattr(node, other)
        require(not taken, f"{field} is one of the node's {other}", CONFLICT)


def _check_known_field(node: Node, field: str, value: Any) -> None:
    """The fields that everybody reads have types; all others take any JSON."""
    if field in _TEXTS:
        check_text(value, _TEXTS[field], field)
    if field == "priority":
        require(isinstance(value, int | str) and not isinstance(value, bool), "priority is a number or a name")
    creation = node.creation
    if field == STATUS and creation is not None and creation.kind == TASK:
        require(value in STATES, f"status is one of {', '.join(sorted(STATES))}")
