"""A clock that lies wins nothing from those who saw it; what names others waits for them, within bounds."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.base.errors import INVALID, RATE_LIMITED, TOO_LARGE, ProtocolError, QuorateError
from quorate.base.limits import PARKED_EVENTS_MAX, WORK_COUNT_MAX, WORK_PROVISIONAL_MAX, WORK_VALUE_MAX_BYTES
from quorate.model import bodies
from quorate.model.events import Id
from quorate.work import WorkTree, registers, sets
from quorate.work.entries import Entry, entry_of
from work.histories import SUBJECTS, Actor, deliver, fold, pack_json, world

A, B, C = SUBJECTS[:3]
FAR = 1 << 62
HONEST, LIAR = Actor(b"\1" * 32), Actor(b"\2" * 32)
MADE = HONEST.write(A, bodies.WorkCreated("task", "t", b""), 1)


def status(value: str) -> bodies.WorkSet:
    return bodies.WorkSet("status", pack_json(value))


def state_of(tree: WorkTree, subject: bytes = A) -> str:
    node = tree.node(subject)
    assert node is not None
    return node.state


def test_a_write_that_names_another_beats_any_clock() -> None:
    lie = LIAR.write(A, status("failed"), FAR)
    truth = HONEST.write(A, status("completed"), 2, (lie.id,))
    for order in permutations((MADE, lie, truth)):
        assert state_of(fold(order, {})) == "completed"


def test_among_concurrent_writes_the_later_clock_is_shown_and_none_is_lost() -> None:
    one, two = HONEST.write(A, status("executing"), 5), LIAR.write(A, status("failed"), FAR)
    for order in permutations((MADE, one, two)):
        tree = fold(order, {})
        assert state_of(tree) == "failed"
        tree.retract([two.id])
        assert state_of(tree) == "executing"


def test_equal_clocks_are_ordered_by_id() -> None:
    one, two = HONEST.write(A, status("executing"), 5), LIAR.write(A, status("failed"), 5)
    winner = max((one, two), key=lambda sent: sent.id)
    for order in permutations((MADE, one, two)):
        assert pack_json(state_of(fold(order, {}))) == winner.body.value  # type: ignore[attr-defined]


def test_a_clock_gives_nobody_a_node_that_was_receipted_before() -> None:
    theft = LIAR.write(A, bodies.WorkCreated("project", "mine", b""), 0)
    for order in permutations((MADE, theft)):
        node = fold(order, {MADE.id: 1, theft.id: 2}).node(A)
        assert node is not None and (node.kind, node.title) == ("task", "t")


def test_a_removed_item_stays_out_unless_it_was_added_at_the_same_time() -> None:
    first = HONEST.write(A, bodies.WorkAdded("tags", "red"), 2)
    again = LIAR.write(A, bodies.WorkAdded("tags", "red"), 0)
    removed = HONEST.write(A, bodies.WorkRemoved("tags", "red"), 3, (first.id,))
    for order in permutations((MADE, first, removed, first)):
        node = fold(order, {}).node(A)
        assert node is not None and node.tags == ()
    for order in permutations((MADE, first, removed, again)):
        node = fold(order, {}).node(A)
        assert node is not None and node.tags == ("red",)


def test_a_remove_ends_dots_of_its_own_item_only() -> None:
    red = HONEST.write(A, bodies.WorkAdded("tags", "red"), 2)
    blue = HONEST.write(A, bodies.WorkRemoved("tags", "blue"), 3, (red.id,))
    other = HONEST.write(B, bodies.WorkRemoved("tags", "red"), 3, (red.id,))
    node = fold((MADE, red, blue, other), {}).node(A)
    assert node is not None and node.tags == ("red",)


def test_of_two_moves_that_make_a_circle_the_first_receipted_counts() -> None:
    made = [HONEST.write(subject, bodies.WorkCreated("task", "", b""), at) for at, subject in enumerate((B, C))]
    down, up = HONEST.write(B, bodies.WorkMoved(C), 10), LIAR.write(C, bodies.WorkMoved(B), 0)
    positions = {sent.id: at for at, sent in enumerate((*made, down, up), 1)}
    for order in permutations((*made, down, up)):
        tree = fold(order, {})
        node = tree.node(C)
        assert node is not None and node.parent == B  # provisional: by the clocks
        for id, position in reversed(positions.items()):
            tree.confirm(id, position)
        assert [node.parent for node in map(tree.node, (B, C)) if node] == [C, b""]


def test_what_waits_is_bounded_and_nothing_is_dropped() -> None:
    tree = WorkTree()
    deliver(tree, MADE)
    actor = Actor(b"\3" * 32)
    first = actor.write(A, bodies.WorkAdded("tags", "red"), 1)
    chain = [first]
    for _ in range(PARKED_EVENTS_MAX):
        chain.append(actor.write(A, status("queued"), 1, (chain[-1].id,)))
    for sent in chain[1:]:
        deliver(tree, sent)
    extra = actor.write(A, status("failed"), 1, (chain[-1].id,))
    assert tree.missing(extra.event) == (chain[-1].id,)
    with pytest.raises(QuorateError) as refused:
        deliver(tree, extra)
    assert refused.value.code == RATE_LIMITED
    deliver(tree, first)  # all of them come loose, one after the other, without recursion
    assert not tree._park.entries and not tree._park._waiting and not tree._park._lacking
    deliver(tree, extra)
    assert state_of(tree) == "failed"


def test_what_has_no_receipt_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.work.worktree.WORK_PROVISIONAL_MAX", 3)
    assert WORK_PROVISIONAL_MAX > 3
    tree, actor = WorkTree(), Actor(b"\3" * 32)
    sent = [actor.write(A, bodies.WorkCounted("n", 1), at) for at in range(5)]
    for each in sent[:3]:
        deliver(tree, each)
    with pytest.raises(QuorateError) as refused:
        deliver(tree, sent[3])
    assert refused.value.code == RATE_LIMITED
    tree.confirm(sent[0].id, 1)
    deliver(tree, sent[3])
    tree.retract([sent[1].id])
    deliver(tree, sent[4])
    deliver(tree, sent[1])  # void: known, counted nowhere
    deliver(tree, MADE, 9)
    node = tree.node(A)
    assert node is not None and node.counters == {"n": 4}


def test_a_parked_event_is_let_in_when_its_log_was_applied() -> None:
    """It names what was let go of long ago: there is nothing left to wait for."""
    tree, actor, other = WorkTree(keep=0), Actor(b"\3" * 32), Actor(b"\4" * 32)
    old = actor.write(A, status("queued"), 1)
    new = actor.write(A, status("failed"), 2, (old.id,))
    late = other.write(A, status("completed"), 3, (old.id,))
    for position, sent in enumerate((MADE, old, new), 1):
        deliver(tree, sent, position)
    tree.settle(3)
    deliver(tree, late)
    assert state_of(tree) == "failed" and tree._park.entries
    tree.confirm(late.id, 4)
    assert state_of(tree) == "completed" and not tree._park.entries


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (bodies.WorkSet("no spaces", b"1"), INVALID),
        (bodies.WorkSet("", b"1"), INVALID),
        (bodies.WorkSet("x", b"{"), INVALID),
        (bodies.WorkSet("x", b""), INVALID),
        (bodies.WorkSet("x", b'"\\u0000"'), INVALID),
        (bodies.WorkSet("x", b'[{"\\u0000": 1}]'), INVALID),
        (bodies.WorkSet("x", b"[" * 5000 + b"]" * 5000), INVALID),
        (bodies.WorkSet("x", b'"' + b"a" * WORK_VALUE_MAX_BYTES + b'"'), TOO_LARGE),
        (bodies.WorkAdded("x", ""), INVALID),
        (bodies.WorkAdded("x", "a\0b"), INVALID),
        (bodies.WorkAdded("x", "a" * 201), TOO_LARGE),
        (bodies.WorkCounted("n", WORK_COUNT_MAX + 1), TOO_LARGE),
        (bodies.WorkCreated("No Kind", "t", b""), INVALID),
        (bodies.WorkCreated("task", "t\0", b""), INVALID),
        (bodies.WorkCreated("task", "t", b"short"), INVALID),
        (bodies.WorkMoved(b"short"), INVALID),
        (bodies.WorkTombstoned("a" * 1001), TOO_LARGE),
    ],
)
def test_what_no_replica_could_fold_is_the_peers_fault(body: bodies.Struct, code: int) -> None:
    tree = WorkTree()
    before = tree.snapshot()
    with pytest.raises(ProtocolError) as refused:
        deliver(tree, HONEST.write(A, body, 9))
    assert refused.value.code == code
    assert tree.snapshot() == before


def test_an_escaped_backslash_is_no_nul_and_a_body_of_another_kind_is_refused() -> None:
    tree = WorkTree()
    deliver(tree, MADE)
    deliver(tree, HONEST.write(A, bodies.WorkSet("x", rb'"\\u0000"'), 9))
    node = tree.node(A)
    assert node is not None and node.fields == {"x": "\\u0000"}
    with pytest.raises(ProtocolError):
        tree.apply(b"\x09" * 32, MADE.event, bodies.WorkMoved(b""), None)
    with pytest.raises(ProtocolError):
        deliver(tree, HONEST.write(b"short", status("queued"), 1))


def entries(seed: int, *kinds: type) -> list[Entry]:
    history = world(seed, 200)
    known: dict[Id, Entry] = {}
    for sent in history.events:  # in the order they were written: causal
        if isinstance(sent.body, kinds) and sent.event.subject == A:
            known[sent.id] = entry_of(sent.id, sent.event, sent.body, None)
    return list(known.values())


laws = settings(derandomize=True, deadline=None, max_examples=30)


@laws
@given(st.integers(0, 2**32))
def test_a_register_written_one_by_one_is_the_register_folded(seed: int) -> None:
    writes = [entry for entry in entries(seed, bodies.WorkSet) if entry.body.field == "status"]  # type: ignore[union-attr]
    heads: registers.Heads = ()
    for write in writes:
        heads = registers.write(heads, write)
    assert heads == registers.fold(writes) == registers.fold(reversed(writes))
    assert not {head.id for head in heads} & {dep for write in writes for dep in write.deps}


@laws
@given(st.integers(0, 2**32))
def test_a_set_changed_one_by_one_is_the_set_folded(seed: int) -> None:
    changes = [
        entry
        for entry in entries(seed, bodies.WorkAdded, bodies.WorkRemoved)
        if entry.body.field == "tags"  # type: ignore[union-attr]
    ]
    dots = sets.DotSet()
    for entry in changes:
        if isinstance(entry.body, bodies.WorkAdded):
            dots.add(entry.body.item, entry.id)
        elif isinstance(entry.body, bodies.WorkRemoved):
            dots.remove(entry.body.item, entry.deps)
    folded = sets.fold(changes)
    assert (dots.items, dots.size) == (folded.items, folded.size)
    assert dots.size == sum(map(len, dots.items.values()))
    assert all(dots.items.values())
