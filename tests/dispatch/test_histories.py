"""Random histories: every job ends, nothing wrong is accepted, and a rebuilt instance goes on alike."""

import pytest

from dispatch.swarm import Swarm, spec, task_id, truth
from quorate.base.codec import from_json
from quorate.base.dice import Dice
from quorate.model.views import JobView, NodeView, TaskView

KINDS = ("honest", "liar", "noisy", "failing", "silent", "slow", "quitter")


def random_tasks(dice: Dice, first: int, number: int, quorum: int) -> list:  # type: ignore[type-arg]
    tasks = []
    for index in range(number):
        before = [task_id(first + i) for i in range(index)]
        deps = tuple(sorted(dice.sample(before, min(len(before), dice.choice((0, 0, 0, 1, 2))))))
        replicas = dice.randint(quorum, quorum + 2)
        needs = ("isolation",) if dice.chance(0.2) else ()
        tasks.append(
            spec(
                first + index,
                deps=deps,
                needs=needs,
                replicas=replicas,
                quorum=dice.randint(quorum, replicas),
                timeout_ms=dice.randint(100, 3_000),
                retries=dice.randint(0, 3),
            )
        )
    return tasks


def play(seed: int, strict: bool = False) -> Swarm:
    """Two liars at most, who tell the same lie; a quorum of three needs an honest node."""
    dice = Dice(seed)
    swarm = Swarm(seed)
    swarm.dispatch.strict = strict
    swarm.limit = dice.choice((1, 3, 4096))
    kinds = ["honest", "honest", "honest", *dice.choices(KINDS, k=dice.randint(0, 5))]
    while kinds.count("liar") > 2:
        kinds.remove("liar")
    dice.shuffle(kinds)
    for number, kind in enumerate(kinds, 1):
        swarm.join(number, kind, dice.randint(1, 3), ("isolation",) if dice.chance(0.8) or number < 4 else ())
    jobs = [swarm.submit(j, random_tasks(dice, 1000 * j, dice.randint(1, 12), 3)) for j in range(1, dice.randint(2, 4))]
    keys = list(swarm.peers)
    for _ in range(dice.randint(0, 12)):
        key, when = dice.choice(keys), dice.randint(0, 8_000)
        swarm.later(when, lambda key=key: swarm.lose(key, dice.chance(0.5)))
        swarm.later(when + dice.randint(1, 5_000), lambda key=key: swarm.regain(key))
    for _ in range(dice.randint(0, 6)):
        swarm.later(dice.randint(0, 8_000), lambda: swarm.restart(dice.chance(0.5)))
    if dice.chance(0.3):
        job, task = dice.choice(jobs), b""
        swarm.later(dice.randint(1, 4_000), lambda: cancel(swarm, job, task))
    swarm.run()
    for key in keys:
        swarm.regain(key)
    swarm.run()
    return swarm


def cancel(swarm: Swarm, job: bytes, task: bytes) -> None:
    if job in swarm.dispatch.one._state.jobs and not swarm.dispatch.one._state.jobs[job].over:
        swarm.record(swarm.dispatch.both("cancel", job, task, "enough"))


@pytest.mark.parametrize("seed", range(60))
def test_whatever_nodes_do_every_job_ends_rightly_and_is_told_alike(seed: int) -> None:
    swarm = play(seed)
    checker, dispatch = swarm.checker, swarm.dispatch
    assert set(checker.settled) == set(checker.specs), "every task ends"
    for task, end in checker.settled.items():
        assert end.state != "completed" or end.output == truth(task), "nothing wrong is accepted"
    assert not checker.live, "no lease is out for ever"
    assert dispatch.one.deadline() is None
    assert dispatch.one.counts() == dict.fromkeys(dispatch.one.counts(), 0), "what is over is forgotten"
    assert dispatch.one.queue_depth == 0
    agree_with_a_refold(swarm)
    agree_with_the_events(swarm)


@pytest.mark.parametrize("seed", (90, 92, 93))
def test_decisions_change_nothing_and_may_be_asked_for_again(seed: int) -> None:
    swarm = play(seed, strict=True)
    assert set(swarm.checker.settled) == set(swarm.checker.specs)


def agree_with_a_refold(swarm: Swarm) -> None:
    again = swarm.dispatch.refold()
    assert again.snapshot() == swarm.dispatch.one.snapshot()
    assert {(row.table, row.key): row.row for row in again.rows()} == swarm.rows


def agree_with_the_events(swarm: Swarm) -> None:
    settled = swarm.checker.settled
    states = {"completed": 0, "failed": 0, "cancelled": 0}
    dissents = 0
    for (table, key), row in swarm.rows.items():
        assert row is not None
        if table == "tasks":
            view = from_json(row.record, TaskView)
            end = settled[key]
            assert (view.state, view.code, view.reason) == (end.state, end.code, end.reason)
            assert row.state == view.state
            assert set(view.agreed) >= {result.node.hex() for result in end.agreed}
            assert all(attempt.code is not None and attempt.ended_ms for attempt in view.attempts)
            states[view.state] += 1
            dissents += len(view.dissent) if view.state == "completed" else 0
        elif table == "jobs":
            job = from_json(row.record, JobView)
            assert job.completed + job.failed + job.cancelled == job.total
            assert (job.queued, job.running) == (0, 0)
            assert job.state == ("failed" if job.failed else "cancelled" if job.cancelled else "completed")
        else:
            node = from_json(row.record, NodeView)
            assert node.running == 0
    totals = swarm.dispatch.one.totals
    assert (totals.completed, totals.failed, totals.cancelled) == tuple(states.values())
    assert totals.rejected == dissents


def test_the_histories_reach_what_they_are_for() -> None:
    """Were every history a plain success, the test above would prove little."""
    ends: dict[tuple[str, int], int] = {}
    codes: dict[int, int] = {}
    reassigned = rejected = raised = 0
    for seed in range(60, 84):
        swarm = play(seed)
        totals = swarm.dispatch.one.totals
        reassigned += totals.reassigned
        rejected += totals.rejected
        for end in swarm.checker.settled.values():
            ends[end.state, end.code] = ends.get((end.state, end.code), 0) + 1
            raised += end.quorum > swarm.checker.specs[end.task].quorum
        for code in swarm.codes:
            codes[code] = codes.get(code, 0) + 1
    for kind in (("completed", 0), ("failed", 4001), ("failed", 4005), ("failed", 4003), ("cancelled", 4004)):
        assert ends.get(kind, 0) > 0, (kind, ends)
    assert all(codes.get(code, 0) > 0 for code in (0, 4002, 1006)), codes
    assert min(reassigned, rejected, raised) > 10
