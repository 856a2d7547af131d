"""From wishes to events: what is drafted does what was wished, and what cannot be is refused with a code."""

from typing import Any

import msgspec
import pytest

from quorate.base.errors import CONFLICT, INVALID, NOT_FOUND, TOO_LARGE, ProtocolError, QuorateError
from quorate.base.limits import (
    EVENT_DEPS_MAX,
    TREE_DEPTH_MAX,
    WORK_FIELDS_MAX,
    WORK_HEADS_MAX,
    WORK_SET_ITEMS_MAX,
    WORK_VALUE_MAX_BYTES,
)
from quorate.model import TaskState, bodies
from quorate.model.views import TaskView, WorkView
from quorate.work import WorkNode, WorkTree
from work.histories import SUBJECTS, Actor, Sent, deliver, pack_json

A, B, C = SUBJECTS[:3]
NOWHERE = b"\x77" * 16


class Desk:
    """An authority: drafts, seals, receipts."""

    def __init__(self) -> None:
        self.tree = WorkTree()
        self.actor = Actor(b"\1" * 32)
        self.position = 0

    def wish(self, verb: str, subject: bytes, *args: Any) -> list[Sent]:
        sealed = []
        for kind, body, deps in getattr(self.tree, f"draft_{verb}")(subject, *args):
            assert bodies.KINDS[kind][0] is type(body)
            assert len(deps) <= EVENT_DEPS_MAX
            sealed.append(self.write(self.actor, subject, body, deps))
        return sealed

    def write(self, actor: Actor, subject: bytes, body: Any, deps: tuple[bytes, ...] = ()) -> Sent:
        self.position += 1
        sent = actor.write(subject, body, self.position << 16, deps)
        self.tree.check([(sent.id, sent.event, sent.body)])
        deliver(self.tree, sent, self.position)
        return sent

    def node(self, subject: bytes = A) -> WorkNode:
        node = self.tree.node(subject)
        assert node is not None
        return node


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.wish("create", A, "task", "Count the boats", b"")
    return desk


def refused(code: int, desk: Desk, verb: str, *args: Any) -> str:
    before = desk.tree.snapshot()
    with pytest.raises(QuorateError) as error:
        desk.wish(verb, *args)
    assert not isinstance(error.value, ProtocolError), "a wish is the user's, not a peer's"
    assert error.value.code == code, error.value
    assert desk.tree.snapshot() == before
    return error.value.message


def test_every_verb_does_what_it_says(desk: Desk) -> None:
    desk.wish("create", B, "project", "Harbour", b"")
    desk.wish("set", A, "status", "executing")
    desk.wish("set", A, "assignee", "ada")
    desk.wish("set", A, "notes", {"deep": [1, 2.5, None]})
    desk.wish("add", A, "tags", "urgent")
    desk.wish("add", A, "tags", "sea")
    desk.wish("remove", A, "tags", "sea")
    desk.wish("count", A, "seen", 3)
    desk.wish("count", A, "seen", -1)
    desk.wish("move", A, B)
    node = desk.node()
    assert (node.state, node.assignee, node.tags, node.counters) == ("executing", "ada", ("urgent",), {"seen": 2})
    assert node.fields["notes"] == {"deep": [1, 2.5, None]}
    assert node.parent == B and not node.provisional
    assert desk.tree.children(B) == [node]
    desk.wish("tombstone", A, "done with it")
    assert desk.node().tombstoned
    assert desk.tree.children(B) == []
    assert desk.tree.find() == [desk.node(B)]


def test_a_task_is_queued_until_somebody_says_otherwise(desk: Desk) -> None:
    assert desk.node().state == "queued"
    desk.write(Actor(b"\2" * 32), A, bodies.WorkSet("status", pack_json("whatever")))
    assert desk.node().state == "queued"
    assert desk.node().fields["status"] == "whatever"
    for state in TaskState:
        desk.wish("set", A, "status", state)
        assert desk.node().state == state
        assert desk.tree.find(state=state.value) == [desk.node()]


def test_the_register_title_is_shown_in_place_of_the_first(desk: Desk) -> None:
    desk.wish("set", A, "title", "Count the ships")
    assert desk.node().title == "Count the ships"


def test_a_wish_that_is_already_so_writes_nothing(desk: Desk) -> None:
    desk.wish("add", A, "tags", "urgent")
    assert desk.wish("add", A, "tags", "urgent") == []
    assert desk.wish("move", A, b"") == []


def test_a_write_replaces_what_it_saw(desk: Desk) -> None:
    desk.write(Actor(b"\2" * 32), A, bodies.WorkSet("status", pack_json("failed")))
    (sent,) = desk.wish("set", A, "status", "completed")
    assert sent.event.deps and desk.node().state == "completed"
    assert len(desk.tree._nodes[A].registers["status"]) == 1


def test_more_heads_than_an_event_may_name_lose_the_newest_first(desk: Desk) -> None:
    other = Actor(b"\2" * 32)
    written = [desk.write(other, A, bodies.WorkSet("status", pack_json("failed"))) for _ in range(12)]
    (sent,) = desk.wish("set", A, "status", "completed")
    assert set(sent.event.deps) == {each.id for each in written[-EVENT_DEPS_MAX:]}
    assert desk.node().state == "completed"
    assert len(desk.tree._nodes[A].registers["status"]) == 12 - EVENT_DEPS_MAX + 1


def test_an_item_with_many_dots_takes_several_events_to_remove(desk: Desk) -> None:
    other = Actor(b"\2" * 32)
    for _ in range(19):
        desk.write(other, A, bodies.WorkAdded("tags", "red"))
    assert [len(sent.event.deps) for sent in desk.wish("remove", A, "tags", "red")] == [8, 8, 3]
    assert desk.node().tags == ()


def test_users_are_told_what_is_wrong(desk: Desk) -> None:
    desk.wish("create", B, "task", "", A)
    desk.wish("create", C, "task", "", b"")
    desk.wish("tombstone", C, "")
    assert "no work node" in refused(NOT_FOUND, desk, "set", NOWHERE, "x", 1)
    assert "not in tags" in refused(NOT_FOUND, desk, "remove", A, "tags", "red")
    assert "exists" in refused(CONFLICT, desk, "create", A, "task", "again", b"")
    assert "exists" in refused(CONFLICT, desk, "create", C, "task", "again", b"")
    assert "tombstoned" in refused(CONFLICT, desk, "set", C, "x", 1)
    assert "tombstoned" in refused(CONFLICT, desk, "tombstone", C, "twice")
    assert "tombstoned" in refused(CONFLICT, desk, "move", A, C)
    assert "itself" in refused(CONFLICT, desk, "move", A, B)
    assert "itself" in refused(CONFLICT, desk, "move", A, A)
    assert "parent" in refused(INVALID, desk, "move", A, NOWHERE)
    assert "parent" in refused(INVALID, desk, "create", NOWHERE, "task", "", b"\x78" * 16)
    assert "own parent" in refused(CONFLICT, desk, "create", NOWHERE, "task", "", NOWHERE)
    assert "16 bytes" in refused(INVALID, desk, "create", b"short", "task", "", b"")
    assert "NUL" in refused(INVALID, desk, "create", NOWHERE, "task", "a\0", b"")
    assert "NUL" in refused(INVALID, desk, "add", A, "tags", "\0")
    assert "NUL" in refused(INVALID, desk, "set", A, "x", ["\0"])
    assert "NUL" in refused(INVALID, desk, "tombstone", A, "\0")
    assert "Unicode" in refused(INVALID, desk, "add", A, "tags", "\ud800")
    assert "JSON" in refused(INVALID, desk, "set", A, "x", "\ud800")
    assert "JSON" in refused(INVALID, desk, "set", A, "x", object())
    assert "field name" in refused(INVALID, desk, "set", A, "two words", 1)
    assert "status is one of" in refused(INVALID, desk, "set", A, "status", "nearly")
    assert "not text" in refused(INVALID, desk, "set", A, "assignee", 7)
    assert "not text" in refused(INVALID, desk, "add", A, "tags", 7)
    assert "priority" in refused(INVALID, desk, "set", A, "priority", [1])
    assert "whole numbers" in refused(INVALID, desk, "count", A, "seen", 1.5)
    assert "at most" in refused(TOO_LARGE, desk, "set", A, "x", "a" * WORK_VALUE_MAX_BYTES)
    assert "at most" in refused(TOO_LARGE, desk, "set", A, "title", "a" * 1001)


def test_a_field_is_of_one_kind(desk: Desk) -> None:
    desk.wish("set", A, "x", 1)
    desk.wish("add", A, "y", "red")
    desk.wish("count", A, "z", 1)
    for field, verbs in (("x", ("add", "count")), ("y", ("set", "count")), ("z", ("set", "add"))):
        for verb in verbs:
            assert field in refused(CONFLICT, desk, verb, A, field, 1 if verb != "add" else "red")


def test_a_node_has_room_for_so_much_and_no_more(desk: Desk) -> None:
    for at in range(WORK_FIELDS_MAX):
        desk.wish("set", A, f"f{at}", at)
    assert "fields" in refused(TOO_LARGE, desk, "count", A, "one.more", 1)
    desk.wish("set", A, "f0", "again")
    desk.wish("create", B, "task", "", b"")
    for at in range(WORK_SET_ITEMS_MAX):
        desk.wish("add", B, "tags", f"t{at}")
    assert "items" in refused(TOO_LARGE, desk, "add", B, "tags", "one more")
    desk.wish("remove", B, "tags", "t0")
    desk.wish("add", B, "tags", "one more")


def test_a_tree_is_so_deep_and_no_deeper(desk: Desk) -> None:
    chain = [bytes([9, n]) * 8 for n in range(TREE_DEPTH_MAX)]
    for above, below in zip([b"", *chain], chain, strict=False):
        desk.wish("create", below, "task", "", above)
    assert "deeper" in refused(TOO_LARGE, desk, "create", NOWHERE, "task", "", chain[-1])
    assert "deeper" in refused(TOO_LARGE, desk, "move", chain[0], A)
    desk.wish("create", NOWHERE, "task", "", chain[-2])


def test_the_swarm_has_room_for_so_many_nodes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.work.admission.WORK_NODES_MAX", 2)
    desk.wish("create", B, "task", "", b"")
    assert "no more" in refused(TOO_LARGE, desk, "create", C, "task", "", b"")


def test_the_authority_judges_a_batch_as_one(desk: Desk) -> None:
    other = Actor(b"\2" * 32)

    def check(*writes: tuple[bytes, Any, tuple[bytes, ...]]) -> None:
        batch = [other.write(subject, body, 1, deps) for subject, body, deps in writes]
        desk.tree.check([(sent.id, sent.event, sent.body) for sent in batch])

    def fails(code: int, *writes: tuple[bytes, Any, tuple[bytes, ...]]) -> None:
        with pytest.raises(QuorateError) as error:
            check(*writes)
        assert error.value.code == code, error.value

    made = (B, bodies.WorkCreated("task", "", b""), ())
    check(
        made,
        (B, bodies.WorkSet("x", b"1"), ()),
        (C, bodies.WorkCreated("task", "", B), ()),
        (A, bodies.WorkMoved(C), ()),
    )
    fails(NOT_FOUND, (B, bodies.WorkSet("x", b"1"), ()))
    fails(NOT_FOUND, (A, bodies.WorkMoved(B), ()))
    fails(CONFLICT, made, made)
    fails(CONFLICT, (A, bodies.WorkSet("x", b"1"), (b"\x55" * 32,)))
    fails(CONFLICT, (A, bodies.WorkTombstoned(""), ()), (A, bodies.WorkTombstoned(""), ()))
    fails(CONFLICT, *[(A, bodies.WorkSet("x", b"1"), ())] * (WORK_HEADS_MAX + 1))
    fails(TOO_LARGE, *[(A, bodies.WorkAdded("tags", "a"), ())] * (WORK_SET_ITEMS_MAX + 1))
    fails(TOO_LARGE, *[(A, bodies.WorkCounted(f"f{at}", 1), ()) for at in range(WORK_FIELDS_MAX + 1)])
    check(*[(A, bodies.WorkSet("x", b"1"), ())] * WORK_HEADS_MAX)
    chained = [other.write(A, bodies.WorkSet("x", b"1"), 1)]
    for _ in range(WORK_HEADS_MAX * 2):
        chained.append(other.write(A, bodies.WorkSet("x", b"1"), 1, (chained[-1].id,)))
    adds = [other.write(A, bodies.WorkAdded("tags", "a"), 1) for _ in range(WORK_SET_ITEMS_MAX)]
    room = other.write(A, bodies.WorkRemoved("tags", "a"), 1, (adds[0].id,))
    one_more = other.write(A, bodies.WorkAdded("tags", "a"), 1)
    desk.tree.check([(sent.id, sent.event, sent.body) for sent in (*chained, *adds, room, one_more)])


def test_drafting_changes_nothing(desk: Desk) -> None:
    desk.tree.rows()
    before = desk.tree.snapshot()
    desk.tree.draft_create(B, "task", "", A)
    desk.tree.draft_set(A, "x", 1)
    desk.tree.draft_add(A, "tags", "red")
    desk.tree.draft_count(A, "n", 1)
    desk.tree.draft_tombstone(A, "")
    assert desk.tree.snapshot() == before and desk.tree.rows() == ()


def test_rows_are_what_edges_show(desk: Desk) -> None:
    desk.wish("create", B, "project", "Harbour", b"")
    desk.wish("move", A, B)
    desk.wish("set", A, "assignee", "ada")
    desk.wish("add", A, "tags", "urgent")
    desk.wish("count", A, "seen", 2)
    task, project = desk.tree.rows()
    assert (task.table, task.key, project.key) == ("work", A, B)
    assert task.row is not None and project.row is not None
    assert (task.row.parent, task.row.state, task.row.owner, task.row.order) == (
        B,
        "queued",
        "ada",
        1,
    )  # ordered by receipt
    shown = msgspec.json.decode(task.row.record, type=TaskView)
    assert (shown.id, shown.name, shown.kind, shown.parent) == (A.hex(), "Count the boats", "task", B.hex())
    assert (shown.assignee, shown.tags, shown.job, shown.executor) == ("ada", ("urgent",), "", "")
    assert shown.fields == {"assignee": "ada", "tags": ["urgent"], "seen": 2}
    assert msgspec.json.decode(project.row.record, type=WorkView).title == "Harbour"
    assert desk.tree.rows() == ()
    desk.wish("tombstone", A, "")
    assert [(gone.key, gone.row) for gone in desk.tree.rows()] == [(A, None)]


def test_pages_are_bounded_and_follow_each_other(desk: Desk) -> None:
    for at in range(25):
        desk.wish("create", bytes([2, at]) * 8, "task", "", A)
    pages: list[WorkNode] = []
    before = b""
    while page := desk.tree.find(parent=A, limit=10, before=before):
        pages += page
        before = page[-1].subject
    assert [node.subject for node in pages] == [bytes([2, at]) * 8 for at in reversed(range(25))]
    for limit in (0, 501):
        with pytest.raises(QuorateError):
            desk.tree.find(limit=limit)
    with pytest.raises(QuorateError) as unknown:
        desk.tree.find(before=NOWHERE)
    assert unknown.value.code == NOT_FOUND
