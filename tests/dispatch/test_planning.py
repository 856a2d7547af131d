"""Who gets which lease, and what a plan costs."""

import pytest

from dispatch.swarm import Swarm, node_key, spec, task_id
from quorate.base.ids import hash_id
from quorate.dispatch.pools import Pool
from quorate.model import LeasesGranted, NodeChanged, NodeJoined

LIE = hash_id(b"lie")


def planned(swarm: Swarm, limit: int = 4096) -> list[tuple[int, int]]:
    """(task, node) of the next plan, which is not carried out."""
    bodies = swarm.dispatch.both("plan", swarm.now, limit)
    return [(int.from_bytes(x.task, "big"), int.from_bytes(x.node, "big")) for b in bodies for x in b.leases]


def test_the_least_loaded_comes_first_then_the_better_reputed_then_the_key() -> None:
    swarm = Swarm(0)
    for number, slots in ((3, 2), (2, 4), (1, 1)):
        swarm.join(number, "manual", slots)
    swarm.submit(1, [spec(n) for n in range(1, 10)])
    assert planned(swarm) == [(1, 1), (2, 2), (3, 3), (4, 2), (5, 2), (6, 3), (7, 2)]
    assert planned(swarm) == planned(swarm), "a plan that is not carried out leaves no trace"
    roster = swarm.dispatch.one._state.roster
    for one in (swarm.dispatch.one, swarm.dispatch.two):
        one._state.roster.observe(node_key(3), agreed=1)
    assert roster.ranks[node_key(3)] > roster.ranks[node_key(1)]
    assert planned(swarm)[:3] == [(1, 3), (2, 1), (3, 2)]


def test_a_task_goes_only_where_all_that_it_needs_is_and_the_node_is_online() -> None:
    swarm = Swarm(0)
    swarm.join(1, "manual", 4, ("gpu",))
    swarm.join(2, "manual", 4, ("gpu", "isolation"))
    swarm.join(3, "manual", 4, ("isolation", "os:linux"))
    swarm.record([NodeJoined(node_key(4), "joined only", b"", ("executor:work", "gpu", "isolation"), 4)])
    swarm.submit(1, [spec(1, needs=("isolation", "gpu")), spec(2, needs=("gpu",)), spec(3, executor="other")])
    assert planned(swarm) == [(1, 2), (2, 1)]
    swarm.record([NodeChanged(node_key(2), "draining", ""), NodeChanged(node_key(1), "offline", "")])
    assert planned(swarm) == []
    swarm.record([NodeJoined(node_key(3), "n3", b"", ("executor:other",), 4)])
    assert planned(swarm) == [(3, 3)], "its capabilities changed"
    swarm.record([NodeChanged(node_key(4), "online", "")])
    assert planned(swarm) == [(1, 4), (2, 4), (3, 3)]


def test_replicas_go_to_distinct_nodes_and_the_rest_when_nodes_come() -> None:
    swarm = Swarm(0)
    swarm.join(1, "manual", 8)
    swarm.join(2, "manual", 8)
    swarm.submit(1, [spec(1, replicas=3, quorum=2)])
    swarm.close()
    assert len(swarm.dispatch.one.leases_of(task_id(1))) == 2
    assert swarm.dispatch.one.queue_depth == 1
    swarm.join(3, "manual", 1)
    swarm.close()
    assert {lease.node for lease in swarm.dispatch.one.leases_of(task_id(1))} == {node_key(n) for n in (1, 2, 3)}
    assert swarm.dispatch.one.queue_depth == 0


def test_a_node_known_to_lie_works_only_when_nobody_else_is_there() -> None:
    swarm = Swarm(0)
    for number in (1, 2, 3, 4):
        swarm.join(number, "manual", 8)
    swarm.submit(1, [spec(n, replicas=4, quorum=2) for n in (1, 2, 3)])
    swarm.close()
    for lease in [lease for n in (1, 2, 3) for lease in swarm.dispatch.one.leases_of(task_id(n))]:
        swarm.answer(lease, LIE if lease.node == node_key(1) else None)
    swarm.close()
    assert next(node for node in swarm.dispatch.one.node_views() if node.id == node_key(1).hex()).evidence == (0, 3, 0)
    swarm.submit(2, [spec(10 + n) for n in range(30)])
    granted = planned(swarm)
    assert len(granted) == 24
    assert all(node != 1 for _, node in granted), "it idles though others are full"
    swarm.submit(3, [spec(50, replicas=4, quorum=2)])
    for number in (2, 3, 4):
        swarm.record([NodeChanged(node_key(number), "offline", "")])
    assert {node for _, node in planned(swarm)} == {1}


def test_a_lie_detected_in_a_quorum_of_four_lets_the_liar_be_the_last_resort() -> None:
    swarm = Swarm(0)
    for number in (1, 2):
        swarm.join(number, "manual", 2)
    for one in (swarm.dispatch.one, swarm.dispatch.two):
        one._state.roster.observe(node_key(1), dissented=5)
    swarm.submit(1, [spec(1, replicas=2, quorum=2)])
    assert planned(swarm) == [(1, 2), (1, 1)], "there is nobody else for the second replica"


def test_begun_tasks_come_first_then_the_oldest_whatever_they_need() -> None:
    swarm = Swarm(0)
    swarm.join(1, "manual", 1, ("a", "b"))
    swarm.submit(1, [spec(1, needs=("b",)), spec(2, needs=("a",)), spec(3, needs=("b",))])
    order = []
    for turn in range(5):
        swarm.close()
        (lease,) = swarm.dispatch.one.leases_on(node_key(1))
        order.append(int.from_bytes(lease.task, "big"))
        if turn == 1:
            swarm.record(swarm.dispatch.both("hand_back", lease.node, [(lease.task, 0, lease.epoch)], ""))
            continue
        swarm.answer(lease)
        if turn == 3:
            break
    assert order == [1, 2, 2, 3]


def test_a_plan_is_cut_at_its_limit_and_goes_on() -> None:
    swarm = Swarm(0)
    swarm.join(1, "manual", 100)
    swarm.join(2, "manual", 100)
    swarm.submit(1, [spec(n, replicas=2, quorum=2) for n in range(1, 31)])
    (whole,) = swarm.dispatch.both("plan", swarm.now)
    assert len(whole.leases) == 60
    swarm.limit = 7
    swarm.close()
    sizes = [len(body.leases) for body, _, _ in swarm.dispatch.log if isinstance(body, LeasesGranted)]
    assert sizes == [7] * 8 + [4]


def test_a_plan_costs_what_it_grants_however_many_tasks_and_nodes_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = Swarm(0)
    for number in range(1, 201):
        swarm.join(number, "manual", 1)
    swarm.submit(1, [spec(n) for n in range(1, 3001)])
    swarm.close()
    asked: list[str] = []
    for name in ("pick", "_update"):
        plain = getattr(Pool, name)

        def counted(*args, plain=plain, name=name):  # type: ignore[no-untyped-def]
            asked.append(name)
            return plain(*args)

        monkeypatch.setattr(Pool, name, counted)
    for lease in swarm.dispatch.one.leases_on(node_key(7)) + swarm.dispatch.one.leases_on(node_key(9)):
        swarm.answer(lease)
    swarm.close()
    assert swarm.dispatch.one.leases_on(node_key(7))
    # Two instances; each frees two nodes, picks twice, and looks whether there is a third.
    assert asked.count("pick") <= 2 * 4
    assert asked.count("_update") <= 2 * 10


def test_begun_tasks_that_no_free_node_can_take_are_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = Swarm(0)
    for number in (1, 2):
        swarm.join(number, "manual", 250)
    swarm.submit(1, [spec(n, replicas=3, quorum=3) for n in range(1, 201)])
    swarm.close()
    asked: list[int] = []
    plain = Pool.pick

    def counted(*args):  # type: ignore[no-untyped-def]
        asked.append(1)
        return plain(*args)

    monkeypatch.setattr(Pool, "pick", counted)
    swarm.answer(swarm.dispatch.one.leases_on(node_key(1))[0])
    swarm.close()
    assert len(asked) <= 4, "only the task that changed"
    swarm.join(3, "manual", 250)
    swarm.close()
    assert len(swarm.dispatch.one.leases_on(node_key(3))) == 200


def test_a_pool_that_missed_changes_starts_over() -> None:
    swarm = Swarm(0)
    swarm.join(1, "manual", 4, ("a",))
    swarm.join(2, "manual", 4, ("b",))
    swarm.record([NodeChanged(node_key(2), "offline", "")])
    swarm.submit(1, [spec(1, needs=("b",))])
    swarm.record([NodeChanged(node_key(1), "draining", "")] * 4_000)
    swarm.close()
    swarm.record([NodeChanged(node_key(2), "online", "")] + [NodeChanged(node_key(1), "draining", "")] * 200)
    assert len(swarm.dispatch.one._state.roster.changes) < 4_000, "changes are not kept for ever"
    swarm.close()
    assert len(swarm.dispatch.one.leases_on(node_key(2))) == 1


def test_needs_that_nobody_waits_for_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quorate.dispatch.planning.POOLS_KEPT", 4)
    swarm = Swarm(0)
    swarm.join(1, "honest", 4, tuple(f"c{n}" for n in range(40)))
    for number in range(40):
        swarm.submit(number, [spec(1000 + number, needs=(f"c{number}",), timeout_ms=100)])
        swarm.run()
    assert len(swarm.checker.settled) == 40
    assert len(swarm.dispatch.one._state.planner._pools) <= 64 + 4
