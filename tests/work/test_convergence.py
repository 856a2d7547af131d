"""The laws of work nodes, on random histories of three replicas of which one has a lying clock."""

from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.model import bodies
from quorate.model.events import Id
from quorate.work import WorkTree
from work.histories import SUBJECTS, World, deliver, fold, oracle, seen, world

histories = st.integers(0, 2**32).map(world)
law = settings(derandomize=True, deadline=None, max_examples=60)


def bytes_of(tree: WorkTree) -> tuple[Id, bytes]:
    return tree.digest(), tree.snapshot()


@law
@given(histories)
def test_any_order_with_duplicates_gives_the_same_bytes(history: World) -> None:
    once = fold(history.events, history.positions)
    for _ in range(3):
        assert bytes_of(fold(history.shuffled(), history.positions)) == bytes_of(once)


@law
@given(histories)
def test_state_is_what_the_definitions_say(history: World) -> None:
    assert seen(fold(history.shuffled(), history.positions)) == oracle(history.events, history.positions)


@law
@given(histories)
def test_a_replica_shows_what_its_own_part_of_the_history_says(history: World) -> None:
    for tree, held in zip(history.trees, history.held, strict=True):
        # Each replica has its own part, with receipts for some of it: first give it all receipts that there are.
        for id in held:
            if id in history.positions:
                tree.confirm(id, history.positions[id])
        assert seen(tree) == oracle(held.values(), history.positions)


@law
@given(histories)
def test_replicas_that_have_the_same_converge(history: World) -> None:
    for tree in history.trees:
        for sent in history.shuffled():
            deliver(tree, sent, history.positions.get(sent.id))
    first, *others = map(bytes_of, history.trees)
    assert all(other == first for other in others)


@law
@given(histories)
def test_merging_is_associative(history: World) -> None:
    """Parts joined in any grouping: what reaches a replica through another is the same as what reaches it at once."""
    order = history.shuffled(duplicates=False)
    third = len(order) // 3
    a, b, c = order[:third], order[third : 2 * third], order[2 * third :]
    left = fold(c, history.positions, fold(a + b, history.positions))
    right = fold(a, history.positions, fold(b + c, history.positions))
    assert bytes_of(left) == bytes_of(right)


@law
@given(histories)
def test_a_second_delivery_changes_nothing(history: World) -> None:
    tree = fold(history.events, history.positions)
    before = bytes_of(tree)
    tree.rows()
    fold(history.shuffled(), history.positions, tree)
    fold(history.shuffled(), {}, tree)
    assert bytes_of(tree) == before
    assert tree.rows() == ()


@law
@given(histories)
def test_there_is_never_a_circle(history: World) -> None:
    tree = WorkTree()
    for sent in history.shuffled():
        deliver(tree, sent, history.positions.get(sent.id))
        for subject in SUBJECTS:
            above = [subject]
            while above[-1] and (node := tree.node(above[-1])) is not None:
                above.append(node.parent)
                assert len(above) <= len(SUBJECTS) + 1


@law
@given(histories)
def test_receipts_in_another_order_than_the_provisional_one_converge(history: World) -> None:
    """First all provisional, then the receipts come in, in any order."""
    tree = fold(history.shuffled(), {})
    assert seen(tree) == oracle(history.events, {})
    history.receipt_all()
    receipts = list(history.positions.items())
    history.dice.shuffle(receipts)
    done: dict[Id, int] = {}
    for id, position in receipts:
        tree.confirm(id, position)
        done[id] = position
        if len(done) % 10 == 0:
            assert seen(tree) == oracle(history.events, done)
    assert bytes_of(tree) == bytes_of(fold(history.log(), history.positions, fold(history.events, done)))
    assert seen(tree) == oracle(history.events, history.positions)


@law
@given(histories, st.integers(0, 2**32))
def test_what_is_queried_is_what_is_shown(history: World, seed: int) -> None:
    tree = WorkTree()
    for at, sent in enumerate(history.shuffled()):
        deliver(tree, sent, history.positions.get(sent.id))
        if at % 16 == 0:
            check_queries(tree)
    some = history.dice.sample(history.events, len(history.events) // 3)
    tree.retract([sent.id for sent in some])
    check_queries(tree)


def check_queries(tree: WorkTree) -> None:
    """Every query against a scan of all nodes."""
    nodes = [node for node in map(tree.node, SUBJECTS) if node is not None and not node.tombstoned]
    nodes.sort(key=lambda node: (node.created_ms, node.subject), reverse=True)
    assert tree.find() == nodes
    for parent in (b"", *SUBJECTS):
        assert tree.children(parent) == [node for node in nodes if node.parent == parent]
        for kind in ("task", "project"):
            wanted = [node for node in nodes if node.kind == kind and parent in (b"", node.parent)]
            assert tree.find(kind=kind, parent=parent) == wanted
    for state in ("queued", "completed"):
        assert tree.find(state=state) == [node for node in nodes if node.state == state]
        assert tree.find(state=state, tag="red") == [n for n in nodes if n.state == state and "red" in n.tags]
    if len(nodes) > 1:
        assert tree.find(limit=1) == nodes[:1]
        assert tree.find(before=nodes[0].subject) == nodes[1:]


@law
@given(histories)
def test_the_rows_told_are_the_rows_there_are(history: World) -> None:
    tree, told = WorkTree(), {}
    for sent in history.shuffled():
        deliver(tree, sent, history.positions.get(sent.id))
        if history.dice.chance(0.2):
            told.update({project.key: project.row for project in tree.rows()})
    tree.retract([sent.id for sent in history.dice.sample(history.events, 5)])
    told.update({project.key: project.row for project in tree.rows()})
    assert tree.rows() == ()
    fresh = {project.key: project.row for project in refolded(tree).rows()}
    shown = {key: row for key, row in told.items() if row is not None}
    assert shown == {key: row for key, row in fresh.items() if row is not None}
    live = {s for s in SUBJECTS if (node := tree.node(s)) is not None and not node.tombstoned}
    assert set(shown) == live


def refolded(tree: WorkTree) -> WorkTree:
    """The same state, with every row told anew."""
    other = WorkTree()
    other.restore(tree.snapshot())
    other._touch(SUBJECTS)
    return other


@law
@given(histories)
def test_a_tombstone_wins(history: World) -> None:
    tree = fold(history.shuffled(), history.positions)
    ended = {sent.event.subject for sent in history.events if isinstance(sent.body, bodies.WorkTombstoned)}
    for subject in SUBJECTS:
        node = tree.node(subject)
        waiting = oracle(history.events, history.positions)
        if node is not None:
            assert node.tombstoned == waiting[subject][-1]
            assert not node.tombstoned or subject in ended
            assert not node.tombstoned or node not in tree.find()
