"""Projections can retract: what is taken back is as if it had never been, and history has an end."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.base.dice import Dice
from quorate.base.errors import ProtocolError, QuorateError
from quorate.model import bodies
from quorate.model.events import Id
from quorate.work import HistoryGone, WorkTree
from work.histories import SUBJECTS, Actor, Sent, World, deliver, fold, oracle, pack_json, seen, world

law = settings(derandomize=True, deadline=None, max_examples=60)
seeds = st.integers(0, 2**32)
NODE = SUBJECTS[0]


def some_ids(history: World, share: float = 0.3) -> frozenset[Id]:
    return frozenset(sent.id for sent in history.events if history.dice.chance(share))


@law
@given(seeds.map(world))
def test_retracted_is_never_having_been(history: World) -> None:
    void = some_ids(history)
    late = fold(history.shuffled(), history.positions)
    late.retract(void)
    early = WorkTree()
    early.retract(void)
    fold(history.shuffled(), history.positions, early)
    assert late.digest() == early.digest()
    assert late.snapshot() == early.snapshot()
    assert seen(late) == oracle(history.events, history.positions, void)


@law
@given(seeds.map(world))
def test_retracted_step_by_step_between_deliveries_is_the_same(history: World) -> None:
    void = sorted(some_ids(history))
    tree = WorkTree()
    for sent in history.shuffled():
        deliver(tree, sent, history.positions.get(sent.id))
        if void and history.dice.chance(0.3):
            some = history.dice.choice(void)
            tree.retract([some])
            void.remove(some) if history.dice.chance(0.5) else None
    void = sorted({*void, *(id for id in (s.id for s in history.events) if id in tree._history.void)})
    tree.retract(void)
    assert seen(tree) == oracle(history.events, history.positions, frozenset(void))
    early = WorkTree()
    early.retract(void)
    assert fold(history.events, history.positions, early).snapshot() == tree.snapshot()


@law
@given(seeds.map(world))
def test_where_nobody_names_it_nothing_of_it_is_left(history: World) -> None:
    """Take back all that one actor wrote, and all that names it: the digest of a world without it."""
    void = {s.id for s in history.events if s.event.actor == history.actors[0].key}
    while more := {s.id for s in history.events if s.id not in void and void & set(s.event.deps)}:
        void |= more
    tree = fold(history.shuffled(), history.positions)
    tree.retract(void)
    others = [s for s in history.shuffled() if s.id not in void]
    assert tree.digest() == fold(others, history.positions).digest()


@law
@given(seeds.map(world), seeds)
def test_a_snapshot_is_the_tree(history: World, seed: int) -> None:
    order = history.shuffled()
    cut = history.dice.randrange(len(order))
    tree = fold(order[:cut], history.positions)
    tree.retract([s.id for s in history.dice.sample(order, 3)])
    other = WorkTree()
    other.restore(tree.snapshot())
    assert other.snapshot() == tree.snapshot()
    assert other.digest() == tree.digest()
    assert other.find() == tree.find()
    assert other.rows() == ()
    void = some_ids(history, 0.1)
    for each in (tree, other):
        fold(order[cut:], history.positions, each)
        each.retract(void)
    assert other.snapshot() == tree.snapshot()


def read_log(tree: WorkTree, log: list[Sent], history: World, chance: float, dice: Dice) -> WorkTree:
    """A replica that gets the log almost in order, settles what it has whole now and then, and all of it at the end."""
    waiting = list(log)
    while waiting:
        sent = waiting.pop(dice.randrange(min(len(waiting), 4)))
        if dice.chance(0.2):
            deliver(tree, sent)
        deliver(tree, sent, history.positions[sent.id])
        if waiting and dice.chance(chance):
            tree.settle(history.positions[waiting[0].id] - 1)
    tree.settle(max((history.positions[sent.id] for sent in log), default=0))
    return tree


@law
@given(seeds.map(world), st.sampled_from([0, 1, 5, 20]))
def test_letting_go_of_history_changes_nothing_that_shows(history: World, keep: int) -> None:
    history.receipt_all()
    whole = fold(history.log(), history.positions)
    often = read_log(WorkTree(keep), history.log(), history, 0.5, Dice(1))
    once = read_log(WorkTree(keep), history.log(), history, 0.0, Dice(2))
    assert often.digest() == once.digest() == whole.digest()
    assert often.snapshot() == once.snapshot()
    assert len(often._history.entries) <= len(whole._history.entries)
    for sent in history.shuffled():
        deliver(often, sent, history.positions.get(sent.id) if history.dice.chance(0.5) else None)
    missed = [s for s in history.events if s.id not in history.positions]
    assert often.digest() == fold(missed, {}, whole).digest()
    restored = WorkTree(keep)
    restored.restore(often.snapshot())
    assert restored.snapshot() == often.snapshot()


@law
@given(seeds.map(world), st.sampled_from([0, 5, 20, 60]))
def test_what_memory_cannot_take_back_is_said_and_nothing_is_changed(history: World, keep: int) -> None:
    history.receipt_all()
    log = history.log()
    cut = len(log) * 2 // 3
    tree = read_log(WorkTree(keep), log[:cut], history, 0.5, Dice(3))
    void = frozenset(history.dice.sample([sent.id for sent in log[:cut]], min(3, cut)))
    before = tree.snapshot()
    fresh = WorkTree(keep)
    fresh.retract(void)
    read_log(fresh, log, history, 0.5, Dice(4))
    try:
        tree.retract(void)
    except HistoryGone:
        assert tree.snapshot() == before
    else:
        assert read_log(tree, log[cut:], history, 0.5, Dice(5)).digest() == fresh.digest()
    assert seen(fresh) == oracle(log, history.positions, void)


def churn(rounds: int, tree: WorkTree) -> None:
    actor = Actor(b"\1" * 32)
    position = 0

    def put(body: object, deps: tuple[Id, ...] = ()) -> Sent:
        nonlocal position
        position += 1
        sent = actor.write(NODE, body, position, deps)  # type: ignore[arg-type]
        deliver(tree, sent, position)
        tree.settle(position)
        return sent

    put(bodies.WorkCreated("task", "t", b""))
    status: tuple[Id, ...] = ()
    for at in range(rounds):
        dot = put(bodies.WorkAdded("tags", f"tag {at % 3}"))
        put(bodies.WorkRemoved("tags", f"tag {at % 3}"), (dot.id,))
        status = (put(bodies.WorkSet("status", pack_json("queued")), status).id,)
        put(bodies.WorkCounted("seen", 1))
        put(bodies.WorkMoved(SUBJECTS[at % 2 + 1]))


def test_churn_leaves_no_tombstones_behind() -> None:
    short, long = WorkTree(keep=8), WorkTree(keep=8)
    churn(20, short)
    churn(400, long)
    assert len(long.snapshot()) <= len(short.snapshot()) + 64  # wider integers, nothing else
    assert len(long._history.entries) == len(short._history.entries) == 8 + 2  # the creation and the status
    assert len(long._tree.log) <= 8
    node = long.node(NODE)
    assert node is not None
    assert (node.counters, node.sets, node.fields) == ({"seen": 400}, {}, {"status": "queued"})


def test_live_state_keeps_no_dead_dot_even_before_anything_is_settled() -> None:
    tree = WorkTree()
    actor = Actor(b"\1" * 32)
    for at in range(50):
        added = actor.write(NODE, bodies.WorkAdded("tags", "a"), at)
        deliver(tree, added)
        deliver(tree, actor.write(NODE, bodies.WorkRemoved("tags", "a"), at, (added.id,)))
    assert tree._nodes[NODE].sets == {}


def test_an_event_after_its_log_was_settled_is_refused() -> None:
    tree = WorkTree(keep=0)
    actor = Actor(b"\1" * 32)
    first = actor.write(NODE, bodies.WorkCreated("task", "t", b""), 1)
    second = actor.write(NODE, bodies.WorkCounted("n", 1), 2)
    deliver(tree, first, 1)
    tree.settle(2)
    with pytest.raises(ProtocolError, match="settled"):
        deliver(tree, second, 2)


def test_an_honest_write_over_a_revoked_one_stands() -> None:
    tree = WorkTree()
    mallory, alice = Actor(b"\1" * 32), Actor(b"\2" * 32)
    made = alice.write(NODE, bodies.WorkCreated("task", "t", b""), 1)
    bad = mallory.write(NODE, bodies.WorkSet("status", pack_json("failed")), 1 << 60)
    good = alice.write(NODE, bodies.WorkSet("status", pack_json("completed")), 2, (bad.id,))
    for position, sent in enumerate((made, bad, good), 1):
        deliver(tree, sent, position)
    tree.retract([bad.id])
    node = tree.node(NODE)
    assert node is not None and node.state == "completed"


def test_only_what_came_is_confirmed_and_only_to_one_position() -> None:
    tree = WorkTree()
    sent = Actor(b"\1" * 32).write(NODE, bodies.WorkCreated("task", "t", b""), 1)
    with pytest.raises(QuorateError, match="no event"):
        tree.confirm(sent.id, 1)
    deliver(tree, sent)
    shown = tree.node(NODE)
    assert shown is not None and shown.provisional
    tree.confirm(sent.id, 4)
    tree.confirm(sent.id, 4)
    shown = tree.node(NODE)
    assert shown is not None and not shown.provisional
    with pytest.raises(ProtocolError, match="at 4 and at 5"):
        tree.confirm(sent.id, 5)


def test_what_a_retraction_brought_back_is_not_let_go_of() -> None:
    tree, actor = WorkTree(keep=2), Actor(b"\1" * 32)
    made = actor.write(NODE, bodies.WorkCreated("task", "t", b""), 1)
    first = actor.write(NODE, bodies.WorkSet("status", pack_json("executing")), 2)
    second = actor.write(NODE, bodies.WorkSet("status", pack_json("failed")), 3, (first.id,))
    for position, sent in enumerate((made, first, second), 1):
        deliver(tree, sent, position)
    tree.settle(3)
    tree.retract([second.id])
    for position in range(4, 10):
        deliver(tree, actor.write(NODE, bodies.WorkCounted("n", 1), position), position)
        tree.settle(position)
    assert first.id in tree._history.entries
    other = WorkTree()
    other.restore(tree.snapshot())
    for each in (tree, other):
        node = each.node(NODE)
        assert node is not None and (node.state, node.counters) == ("executing", {"n": 6})
