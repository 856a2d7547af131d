"""What a work node looks like: the view of the API, the facets of queries, the row of the read model.

Knows how registers are read (`status`, `assignee`, `title`, the set `tags`); changes nothing.
A task's human status is its register `status`; one that was never set, or set to no task state, is queued.
"""

from typing import Any

from msgspec import Struct

from quorate.base.codec import from_json, to_json
from quorate.base.hlc import millis_of
from quorate.model.bodies import WorkSet
from quorate.model.effects import Row
from quorate.model.tasks import TaskState
from quorate.model.views import TaskView, WorkView
from quorate.work.index import ALL, Facet
from quorate.work.nodes import Node
from quorate.work.registers import Heads

TASK = "task"
STATUS = "status"
ASSIGNEE = "assignee"
TITLE = "title"
TAGS = "tags"
STATES = frozenset(state.value for state in TaskState)


class WorkNode(Struct, frozen=True):
    """A node as it stands. `fields` are the decoded registers; `provisional`: some of it has no receipt yet.
    `position` is that of its creation, 0 without one."""

    subject: bytes
    kind: str
    title: str
    parent: bytes
    state: str
    assignee: str
    tags: tuple[str, ...]
    fields: dict[str, Any]
    sets: dict[str, tuple[str, ...]]
    counters: dict[str, int]
    tombstoned: bool
    provisional: bool
    created_ms: int
    position: int
    updated: int


def value_of(heads: Heads) -> Any:
    """The value that a register shows; None if it was never written."""
    if not heads:
        return None
    body = heads[0].body
    assert isinstance(body, WorkSet)
    return from_json(body.value, object)


def _text(node: Node, field: str) -> str:
    value = value_of(node.registers.get(field, ()))
    return value if isinstance(value, str) else ""


def _state(node: Node, kind: str) -> str:
    status = _text(node, STATUS)
    if kind != TASK or status in STATES:
        return status
    return TaskState.QUEUED.value


def _items(node: Node, field: str) -> tuple[str, ...]:
    dots = node.sets.get(field)
    return tuple(sorted(dots.items)) if dots else ()


def created_ms(node: Node) -> int:
    return millis_of(node.creations[0].hlc)


def view(node: Node, parent: bytes) -> WorkNode | None:
    """The node's view; None if it was not created."""
    creation = node.creation
    if creation is None:
        return None
    fields = {field: value_of(heads) for field, heads in sorted(node.registers.items())}
    title = fields.get(TITLE)
    return WorkNode(
        subject=node.subject,
        kind=creation.kind,
        title=title if isinstance(title, str) else creation.title,
        parent=parent,
        state=_state(node, creation.kind),
        assignee=_text(node, ASSIGNEE),
        tags=_items(node, TAGS),
        fields=fields,
        sets={field: _items(node, field) for field in sorted(node.sets)},
        counters={field: counter.total for field, counter in sorted(node.counters.items())},
        tombstoned=bool(node.tombstones),
        provisional=node.provisional > 0,
        created_ms=created_ms(node),
        position=node.creations[0].position or 0,
        updated=node.updated,
    )


def facets(node: Node, parent: bytes) -> tuple[Facet, ...]:
    """What a live node is found by."""
    creation = node.creation
    assert creation is not None
    return (
        ALL,
        ("kind", creation.kind),
        ("parent", parent),
        ("state", _state(node, creation.kind)),
        ("assignee", _text(node, ASSIGNEE)),
        *(("tag", tag) for tag in _items(node, TAGS)),
    )


def row(seen: WorkNode) -> Row:
    """The row of table `work`: a task as `TaskView`, every other kind as `WorkView`."""
    record = task_view(seen) if seen.kind == TASK else work_view(seen)
    return Row(seen.parent, seen.state, seen.assignee, seen.position, to_json(record))


def _all_fields(seen: WorkNode) -> dict[str, Any]:
    """Registers, sets and counters by name; where peers gave one name to two of them the register shows."""
    return {**seen.counters, **seen.sets, **seen.fields}


def work_view(seen: WorkNode) -> WorkView:
    return WorkView(
        id=seen.subject.hex(),
        kind=seen.kind,
        title=seen.title,
        parent=seen.parent.hex(),
        state=seen.state,
        assignee=seen.assignee,
        tags=seen.tags,
        fields=_all_fields(seen),
        provisional=seen.provisional,
        created_ms=seen.created_ms,
        updated_ms=millis_of(seen.updated),
    )


def task_view(seen: WorkNode) -> TaskView:
    """A task of the work tree: people do it, so it has no executor, replicas or attempts."""
    return TaskView(
        id=seen.subject.hex(),
        job="",
        name=seen.title,
        state=seen.state,
        executor="",
        deps=(),
        replicas=0,
        quorum=0,
        validator="",
        created_ms=seen.created_ms,
        started_ms=None,
        ended_ms=None,
        code=0,
        reason="",
        input="",
        output="",
        attempts=(),
        agreed=(),
        dissent=(),
        settled_at=0,
        kind=TASK,
        parent=seen.parent.hex(),
        assignee=seen.assignee,
        tags=seen.tags,
        fields=_all_fields(seen),
    )
