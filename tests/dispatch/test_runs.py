"""The life of a task, case by case: retries, expiry, quorums, late results, cancellation, dependencies."""

from typing import Any

import pytest

from dispatch.swarm import START_NS, Swarm, node_key, result_of, spec, task_id, truth
from quorate.base.codec import from_json
from quorate.base.errors import INVALID, QuorateError
from quorate.base.ids import NO_ID, hash_id
from quorate.base.limits import (
    ATTEMPT_REASON_MAX_CHARS,
    ATTEMPTS_KEPT,
    LEASE_GRACE_MS,
    LEASES_LOST_MAX,
    MS_NS,
    NODE_RETURN_MS,
    REPLICAS_MAX,
    RETRY_BASE_MS,
    RETRY_CAP_MS,
)
from quorate.dispatch.fold import backoff_ns
from quorate.model import Lease, NodeChanged, Result, TaskSpec, TaskState
from quorate.model.views import JobView, TaskView

LIE = hash_id(b"lie")


def manual(nodes: int, *tasks: TaskSpec, slots: int = 4, validators: Any = None) -> Swarm:
    """A swarm whose nodes do nothing by themselves."""
    swarm = Swarm(0, validators) if validators else Swarm(0)
    for number in range(1, nodes + 1):
        swarm.join(number, "manual", slots)
    swarm.submit(1, tasks)
    swarm.close()
    return swarm


def leases(swarm: Swarm, task: int = 1) -> tuple[Lease, ...]:
    return swarm.dispatch.one.leases_of(task_id(task))  # type: ignore[no-any-return]


def view(swarm: Swarm, task: int = 1) -> TaskView:
    row = swarm.rows["tasks", task_id(task)]
    assert row is not None
    return from_json(row.record, TaskView)


def answer(swarm: Swarm, lease: Lease, output: bytes | None = None, code: int = 0, words: str = "") -> int:
    judged = swarm.answer(lease, output, code, words)
    swarm.close()
    return judged


def wait(swarm: Swarm, ms: int) -> None:
    swarm.now += ms * MS_NS
    swarm.close()


def test_one_replica_settles_with_its_first_result() -> None:
    swarm = manual(1, spec(1, timeout_ms=500))
    (lease,) = leases(swarm)
    assert lease == Lease(task_id(1), 0, 1, node_key(1), START_NS + (500 + LEASE_GRACE_MS) * MS_NS)
    assert view(swarm).state == "assigned"
    swarm.dispatch.one.started(node_key(2), *_name(lease))
    swarm.close()
    assert view(swarm).state == "assigned", "another node's word does not count"
    swarm.dispatch.one.started(node_key(1), *_name(lease))
    assert swarm.dispatch.one.counts()["executing"] == 1
    swarm.close()
    assert view(swarm).state == "executing"
    assert answer(swarm, lease) == 0
    end = view(swarm)
    assert (end.state, end.output, end.code, end.agreed) == (
        "completed",
        truth(task_id(1)).hex(),
        0,
        (lease.node.hex(),),
    )
    assert end.settled_at == len(swarm.dispatch.log)
    assert answer(swarm, lease) == 4002, "settled and gone"


def _name(lease: Lease) -> tuple[bytes, int, int]:
    return lease.task, lease.slot, lease.epoch


def test_a_failure_is_tried_again_elsewhere_after_a_growing_while_and_up_to_a_limit() -> None:
    swarm = manual(2, spec(1, retries=2))
    (first,) = leases(swarm)
    answer(swarm, first, code=4001, words="x" * 5_000 + "exit 1")
    assert leases(swarm) == ()
    assert view(swarm).state == "queued"
    assert swarm.dispatch.one.deadline() == swarm.now + RETRY_BASE_MS * MS_NS
    wait(swarm, RETRY_BASE_MS - 1)
    assert leases(swarm) == ()
    wait(swarm, 1)
    (second,) = leases(swarm)
    assert (second.node, second.epoch) != (first.node, 1)
    assert second.node != first.node
    answer(swarm, second, code=4001)
    wait(swarm, 2 * RETRY_BASE_MS - 1)
    assert leases(swarm) == ()
    wait(swarm, 1)
    (third,) = leases(swarm)
    answer(swarm, third, code=9999, words="last words")
    end = view(swarm)
    assert (end.state, end.code, end.reason) == ("failed", 4001, "last words"), "an unknown code is a failed program"
    assert [attempt.code for attempt in end.attempts] == [4001, 4001, 4001]
    assert len(end.attempts[0].reason) == ATTEMPT_REASON_MAX_CHARS
    assert end.attempts[0].reason.endswith("exit 1")
    assert swarm.dispatch.one.totals.reassigned == 0, "a failure is no lost lease"


def test_the_backoff_doubles_and_is_capped() -> None:
    assert [backoff_ns(n) // MS_NS for n in (1, 2, 3, 4)] == [200, 400, 800, 1600]
    assert backoff_ns(100) == RETRY_CAP_MS * MS_NS


def test_a_node_that_fails_at_once_is_not_asked_again_while_another_is_busy() -> None:
    swarm = manual(2, spec(1, retries=5), spec(2), slots=1)
    (one,), (two,) = leases(swarm, 1), leases(swarm, 2)
    answer(swarm, one, code=4001)
    wait(swarm, 1_000)
    assert leases(swarm, 1) == (), "the other node is busy, but it is there"
    answer(swarm, two)
    assert leases(swarm, 1)[0].node == two.node
    answer(swarm, leases(swarm, 1)[0], code=4001)
    wait(swarm, 1_000)
    assert len(leases(swarm, 1)) == 1, "both failed: either may try again"


def test_an_expired_lease_counts_as_a_failure_and_a_lost_one_does_not() -> None:
    swarm = manual(3, spec(1, timeout_ms=1_000, retries=0))
    (first,) = leases(swarm)
    swarm.lose(first.node, forget=True)
    swarm.close()
    (second,) = leases(swarm)
    assert (second.epoch, second.node != first.node) == (2, True), "leased again at once"
    assert swarm.dispatch.one.totals.reassigned == 1
    wait(swarm, 1_000 + LEASE_GRACE_MS - 1)
    assert leases(swarm) == (second,)
    assert swarm.dispatch.one.deadline() == second.expires_ns
    wait(swarm, 1)
    end = view(swarm)
    assert (end.state, end.code) == ("failed", 1001)
    assert [attempt.code for attempt in end.attempts] == [4002, 1001]


def test_a_late_result_counts_once_and_frees_whoever_does_it_again() -> None:
    swarm = manual(3, spec(1, timeout_ms=1_000, replicas=2, quorum=2, retries=3))
    one, two = leases(swarm)
    wait(swarm, 1_000 + LEASE_GRACE_MS)
    wait(swarm, 1_000)
    newer = {lease.slot: lease for lease in leases(swarm)}
    assert newer[one.slot].epoch == 2
    assert swarm.dispatch.one.totals.reassigned == len(newer) == 2
    assert answer(swarm, one) == 0, "late, but useful"
    assert [lease.slot for lease in leases(swarm)] == [two.slot], "nobody need do that slot again"
    assert answer(swarm, one) == 1006, "once"
    assert answer(swarm, newer[one.slot]) == 1006, "its slot has its result"
    assert answer(swarm, two) == 0
    end = view(swarm)
    assert end.state == "completed"
    assert set(end.agreed) == {one.node.hex(), two.node.hex()}
    assert [a.reason for a in end.attempts if a.code == 0] == ["late", "late"]


@pytest.mark.parametrize("from_log", [False, True])
def test_a_snapshot_between_two_decisions_forgets_none_of_them(from_log: bool) -> None:
    swarm = manual(3, spec(1, timeout_ms=1_000, replicas=2, quorum=2, retries=3), spec(2), spec(3, retries=0), spec(4))
    one, two = leases(swarm)
    wait(swarm, 1_000 + LEASE_GRACE_MS)
    wait(swarm, 1_000)
    assert swarm.answer(one) == 0
    swarm.answer(leases(swarm, 3)[0], code=4001)
    swarm.record(swarm.dispatch.both("cancel", task_id(1 << 64 | 1), task_id(4), "enough"))
    swarm.dispatch.rebuild(from_log)
    swarm.close()
    assert [lease.slot for lease in leases(swarm)] == [two.slot]
    assert (swarm.checker.settled[task_id(3)].code, swarm.checker.settled[task_id(4)].code) == (4001, 4004)
    assert leases(swarm, 4) == ()
    (running,) = leases(swarm, 2)
    swarm.record(swarm.dispatch.both("cancel", task_id(1 << 64 | 1), task_id(2), "enough"))
    swarm.record(swarm.dispatch.both("due", swarm.now))
    assert leases(swarm, 2) == (running,), "settled, its lease not yet ended"
    swarm.dispatch.rebuild(from_log)
    swarm.close()
    assert leases(swarm, 2) == ()
    assert swarm.dispatch.one.totals == swarm.dispatch.two.totals


def test_a_slot_that_was_lost_does_not_wait_for_one_that_failed() -> None:
    swarm = manual(4, spec(1, replicas=2, quorum=2))
    one, two = leases(swarm)
    answer(swarm, one, code=4001)
    swarm.lose(two.node, forget=True)
    swarm.close()
    assert [lease.slot for lease in leases(swarm)] == [two.slot]
    wait(swarm, RETRY_BASE_MS)
    assert [lease.slot for lease in leases(swarm)] == [one.slot, two.slot]


def test_two_leases_of_one_node_make_one_vote() -> None:
    swarm = manual(1, spec(1, timeout_ms=1_000, replicas=2, quorum=2, retries=3))
    (first,) = leases(swarm)
    wait(swarm, 1_000 + LEASE_GRACE_MS)
    wait(swarm, 1_000)
    (second,) = leases(swarm)
    assert swarm.answer(first) == 0
    assert swarm.answer(second) == 0, "its lease is live, so its answer is taken; it is no second vote"
    swarm.close()
    assert view(swarm).state == "validating"
    swarm.join(2, "manual")
    swarm.close()
    assert leases(swarm)[0].node == node_key(2), "the voter is not asked again"
    answer(swarm, leases(swarm)[0])
    assert view(swarm).state == "completed"


def test_who_handed_a_lease_back_is_not_asked_again_while_another_is_there() -> None:
    swarm = manual(2, spec(1), spec(2), slots=1)
    (one,), (two,) = leases(swarm, 1), leases(swarm, 2)
    swarm.record(swarm.dispatch.both("hand_back", one.node, [_name(one)], "no"))
    swarm.close()
    assert leases(swarm, 1) == ()
    answer(swarm, two)
    assert leases(swarm, 1)[0].node == two.node


def test_the_first_reason_to_end_a_task_stays() -> None:
    swarm = manual(1, spec(1))
    job = task_id(1 << 64 | 1)
    swarm.record(swarm.dispatch.both("cancel", job, b"", "first"))
    swarm.record(swarm.dispatch.both("cancel", job, b"", "second"))
    swarm.close()
    assert view(swarm).reason == "first"


def test_a_late_failure_and_strangers_change_nothing() -> None:
    swarm = manual(2, spec(1, timeout_ms=1_000, retries=3))
    (first,) = leases(swarm)
    wait(swarm, 1_000 + LEASE_GRACE_MS)
    before = swarm.dispatch.one.snapshot()
    assert answer(swarm, first, code=4001) == 4002
    wait(swarm, 1_000)
    (second,) = leases(swarm)
    for stranger in (
        Lease(second.task, second.slot, second.epoch, node_key(9), 0),
        Lease(second.task, second.slot, 7, second.node, 0),
        Lease(second.task, 5, 1, second.node, 0),
        Lease(second.task, -1, 1, second.node, 0),
        Lease(task_id(77), 0, 1, second.node, 0),
    ):
        assert answer(swarm, stranger) == 4002
    judge = swarm.dispatch.one.judge
    assert judge(result_of(second, b"short"), "", swarm.now) == (INVALID, ())
    assert judge(result_of(second, code=-1), "", swarm.now) == (INVALID, ())
    bloated = Result(*_name(second), second.node, 0, truth(second.task), tuple(range(99)), b"")
    assert judge(bloated, "", swarm.now) == (INVALID, ())
    assert before != swarm.dispatch.one.snapshot()
    assert leases(swarm) == (second,)


def test_a_disagreement_raises_the_quorum_and_asks_further_nodes() -> None:
    swarm = manual(6, spec(1, replicas=2, quorum=2))
    one, two = leases(swarm)
    answer(swarm, one, LIE)
    assert view(swarm).state == "validating"
    answer(swarm, two)
    three, four = leases(swarm)
    assert {three.slot, four.slot} == {2, 3}, "two more are needed: 2 + 1 against 1"
    answer(swarm, three)
    assert view(swarm).state == "validating"
    answer(swarm, four)
    end = view(swarm)
    assert (end.state, len(end.agreed), end.dissent) == ("completed", 3, (one.node.hex(),))
    settled = swarm.checker.settled[task_id(1)]
    assert (settled.quorum, len(settled.agreed)) == (3, 3)
    assert swarm.dispatch.one.totals.rejected == 1
    evidence = {node.id: node.evidence for node in swarm.dispatch.one.node_views()}
    assert evidence[one.node.hex()] == (0, 1, 0)
    assert evidence[two.node.hex()] == (1, 0, 0)


def test_with_nobody_left_to_ask_the_asked_quorum_will_do_for_a_majority() -> None:
    swarm = manual(3, spec(1, replicas=3, quorum=2, timeout_ms=1_000))
    one, two, three = leases(swarm)
    for lease, output in ((one, LIE), (two, None), (three, None)):
        answer(swarm, lease, output)
    assert view(swarm).state == "validating", "2 of 3 against 1: a fourth could decide"
    assert swarm.dispatch.one.deadline() == swarm.now + 1_000 * MS_NS
    wait(swarm, 999)
    assert view(swarm).state == "validating"
    wait(swarm, 1)
    end = view(swarm)
    assert (end.state, end.output, end.dissent) == ("completed", truth(task_id(1)).hex(), (one.node.hex(),))
    assert swarm.checker.settled[task_id(1)].quorum == 2


def test_without_a_majority_it_fails_and_blames_nobody() -> None:
    swarm = manual(2, spec(1, replicas=2, quorum=1, timeout_ms=1_000))
    one, two = leases(swarm)
    answer(swarm, one, LIE)
    assert view(swarm).state == "completed", "a quorum of one asks for no second opinion"
    assert answer(swarm, two) == 0, "evidence all the same"
    assert view(swarm).dissent == (two.node.hex(),)
    assert swarm.dispatch.one.totals.rejected == 1
    assert all(node.evidence == (0, 0, 0) for node in swarm.dispatch.one.node_views()), "unconfirmed, so no proof"
    swarm = manual(2, spec(1, replicas=2, quorum=2, timeout_ms=1_000))
    one, two = leases(swarm)
    answer(swarm, one, LIE)
    answer(swarm, two)
    wait(swarm, 1_000)
    end = view(swarm)
    assert (end.state, end.code) == ("failed", 4003)
    assert len(swarm.checker.settled[task_id(1)].dissent) == 2
    assert swarm.dispatch.one.totals.rejected == 0
    assert all(node.evidence == (0, 0, 0) for node in swarm.dispatch.one.node_views())


def test_a_further_node_that_is_busy_or_comes_back_is_waited_for() -> None:
    swarm = manual(3, spec(9, timeout_ms=60_000), spec(1, replicas=2, quorum=2, timeout_ms=1_000), slots=2)
    busy = leases(swarm, 9)[0]
    swarm.record([NodeChanged(busy.node, "draining", "")])
    one, two = leases(swarm)
    others = [node_key(n) for n in (1, 2, 3) if node_key(n) not in (one.node, two.node)]
    (third,) = others
    swarm.record([NodeChanged(third, "offline", "")])
    answer(swarm, one, LIE)
    answer(swarm, two)
    wait(swarm, 900)
    swarm.record([NodeChanged(third, "online", ""), NodeChanged(third, "offline", "")])
    wait(swarm, 900)
    assert view(swarm).state == "validating", "a node that could be asked was there 900 ms ago"
    swarm.record([NodeChanged(third, "online", "")])
    swarm.close()
    assert [lease.node for lease in leases(swarm)] == [third]
    swarm.run()
    assert (view(swarm).state, view(swarm).code) == ("failed", 1001), "asked as often as may be, it never answered"


def test_a_task_asks_no_more_than_the_most_replicas() -> None:
    swarm = manual(REPLICAS_MAX + 4, spec(1, replicas=1, quorum=1), spec(2, replicas=2, quorum=2, timeout_ms=1_000))
    seen = 0
    while pending := leases(swarm, 2):
        for lease in pending:
            seen += 1
            answer(swarm, lease, hash_id(bytes([seen])))
    assert seen == REPLICAS_MAX
    assert (view(swarm, 2).state, view(swarm, 2).code) == ("failed", 4003), "at once: there is nobody to wait for"


def test_the_losses_of_one_task_are_limited_and_its_attempts_are_not_all_kept() -> None:
    swarm = manual(2, spec(1))
    for _ in range(LEASES_LOST_MAX + 1):
        wait(swarm, RETRY_CAP_MS)
        (lease,) = leases(swarm)
        swarm.record(swarm.dispatch.both("hand_back", lease.node, [_name(lease)], "no"))
        swarm.close()
    end = view(swarm)
    assert (end.state, end.code) == ("failed", 4002)
    assert len(end.attempts) == ATTEMPTS_KEPT
    assert end.attempts[-1].epoch == LEASES_LOST_MAX + 1


def test_only_its_own_live_leases_can_be_handed_back() -> None:
    swarm = manual(2, spec(1, replicas=2, quorum=2))
    one, two = leases(swarm)
    hand_back = swarm.dispatch.one.hand_back
    assert hand_back(one.node, [_name(two), (task_id(5), 0, 1), (*_name(one)[:2], 9)], "no") == ()
    (body,) = hand_back(one.node, [_name(one), _name(one)], "no")
    assert body.ended == ((*_name(one), 4002),)
    assert swarm.dispatch.one.leases_on(two.node) == (two,)
    assert swarm.dispatch.one.lease_of(*_name(two)) == two
    assert swarm.dispatch.one.lease_of(task_id(1), 0, 9) is None


def test_a_node_that_comes_back_keeps_what_it_says_it_runs() -> None:
    swarm = manual(1, spec(1), spec(2))
    (one,), (two,) = leases(swarm, 1), leases(swarm, 2)
    stale = Lease(task_id(1), 0, 99, one.node, 0)
    (body,) = swarm.dispatch.one.keep_only(one.node, [two, stale])
    assert body.ended == ((*_name(one), 4002),)


def test_dependents_wait_get_their_inputs_in_order_and_fall_with_what_failed() -> None:
    swarm = manual(1, spec(3, deps=(task_id(2), task_id(1))), spec(1, retries=0), spec(2), spec(4, deps=(task_id(3),)))
    assert leases(swarm, 3) == ()
    answer(swarm, leases(swarm, 1)[0])
    assert leases(swarm, 3) == ()
    with pytest.raises(QuorateError):
        swarm.dispatch.one.dep_outputs(task_id(3))
    answer(swarm, leases(swarm, 2)[0])
    assert len(leases(swarm, 3)) == 1
    outputs = (("t2", truth(task_id(2))), ("t1", truth(task_id(1))))
    assert swarm.dispatch.one.dep_outputs(task_id(3)) == outputs
    for _ in range(3):
        answer(swarm, leases(swarm, 3)[0], code=4001)
        wait(swarm, 1_000)
    assert (view(swarm, 3).state, view(swarm, 3).code) == ("failed", 4001)
    assert (view(swarm, 4).state, view(swarm, 4).code, view(swarm, 4).reason) == ("failed", 4005, "t3 failed")
    row = swarm.rows["jobs", task_id(1 << 64 | 1)]
    assert row is not None
    job = from_json(row.record, JobView)
    assert (job.state, job.completed, job.failed, job.owner, row.owner) == ("failed", 2, 2, "me", "me")


def test_cancelling_a_job_ends_its_tasks_and_frees_its_nodes() -> None:
    swarm = manual(1, spec(1), spec(2), spec(3, deps=(task_id(1),)), slots=1)
    job = task_id(1 << 64 | 1)
    (lease,) = leases(swarm, 1)
    swarm.record(swarm.dispatch.both("cancel", job, b"", "enough"))
    assert swarm.answer(lease) == 0
    swarm.close()
    assert [(view(swarm, n).state, view(swarm, n).code) for n in (1, 2, 3)] == [("cancelled", 4004)] * 3
    assert view(swarm, 1).reason == "enough", "a result that comes in between does not undo it"
    assert swarm.dispatch.one.leases_on(node_key(1)) == ()
    with pytest.raises(QuorateError) as caught:
        swarm.dispatch.one.cancel(job, b"", "")
    assert caught.value.code == 1000


def test_cancelling_one_task_takes_its_dependents_along_and_no_others() -> None:
    swarm = manual(2, spec(1, replicas=2, quorum=2), spec(2), spec(3, deps=(task_id(1),)))
    job = task_id(1 << 64 | 1)
    running = leases(swarm, 1)
    swarm.record(swarm.dispatch.both("cancel", job, task_id(1), ""))
    swarm.close()
    assert (view(swarm, 1).state, view(swarm, 3).state, view(swarm, 3).code) == ("cancelled", "cancelled", 4005)
    assert [attempt.code for attempt in view(swarm, 1).attempts] == [4004, 4004]
    assert leases(swarm, 1) == ()
    assert answer(swarm, running[0]) == 4002
    with pytest.raises(QuorateError) as caught:
        swarm.dispatch.one.cancel(job, task_id(1), "")
    assert caught.value.code == 1006
    with pytest.raises(QuorateError) as caught:
        swarm.dispatch.one.cancel(job, task_id(8), "")
    assert caught.value.code == 1000
    answer(swarm, leases(swarm, 2)[0])
    row = swarm.rows["jobs", job]
    assert row is not None
    assert row.state == "cancelled"


def test_late_evidence_lowers_a_reputation_once() -> None:
    swarm = manual(3, spec(1, replicas=3, quorum=2), spec(2))
    one, two, three = leases(swarm)
    answer(swarm, one)
    answer(swarm, two)
    assert view(swarm).state == "completed"
    assert leases(swarm) == (three,), "it may finish"
    assert swarm.dispatch.one.state_of(task_id(1)) == TaskState.COMPLETED
    assert answer(swarm, three, LIE) == 0
    assert answer(swarm, three, LIE) == 1006
    assert view(swarm).dissent == (three.node.hex(),)
    assert swarm.dispatch.one.totals.rejected == 1
    node = next(n for n in swarm.dispatch.one.node_views() if n.id == three.node.hex())
    assert (node.evidence, node.running) == ((0, 1, 0), 0)


def test_failing_where_others_succeed_is_held_against_a_node_and_failing_with_all_others_is_not() -> None:
    swarm = manual(2, spec(1), spec(2, retries=0))
    first = leases(swarm, 1)[0]
    answer(swarm, first, code=4001)
    answer(swarm, leases(swarm, 2)[0], code=4001)
    wait(swarm, 1_000)
    answer(swarm, leases(swarm, 1)[0])
    evidence = {node.id: node.evidence for node in swarm.dispatch.one.node_views()}
    assert evidence[first.node.hex()] == (0, 0, 1)
    assert sorted(evidence.values()) == [(0, 0, 0), (0, 0, 1)]


def test_a_node_that_failed_first_and_then_agreed_is_not_blamed() -> None:
    swarm = manual(2, spec(1, replicas=2, quorum=2))
    one, two = leases(swarm)
    answer(swarm, one, code=4001)
    wait(swarm, 1_000)
    answer(swarm, two)
    answer(swarm, next(lease for lease in leases(swarm) if lease.node == one.node))
    assert [node.evidence for node in swarm.dispatch.one.node_views()] == [(1, 0, 0), (1, 0, 0)]


def test_a_validator_groups_and_may_refuse() -> None:
    def parity(task: TaskSpec, result: Result) -> bytes:
        if result.output == NO_ID:
            raise QuorateError(INVALID, "an empty answer")
        return bytes([result.output[0] % 2])

    swarm = manual(3, spec(1, replicas=2, quorum=2, validator="parity"), validators={"parity": parity})
    one, two = leases(swarm)
    answer(swarm, one, NO_ID)
    assert view(swarm).attempts[0].code == INVALID
    assert view(swarm).attempts[0].reason == "an empty answer"
    wait(swarm, 1_000)
    three = next(lease for lease in leases(swarm) if lease != two)
    answer(swarm, two, b"\x02" * 32)
    answer(swarm, three, b"\x04" * 32)
    assert view(swarm).state == "completed"
    first = min((two, three), key=lambda lease: lease.slot)
    assert view(swarm).output == (("04" if first == three else "02") * 32)


def test_a_log_that_needs_a_validator_which_is_gone_says_so() -> None:
    swarm = manual(1, spec(1, validator="own"), validators={"own": lambda task, result: result.output})
    answer(swarm, leases(swarm)[0])
    swarm.dispatch._validators = {}
    with pytest.raises(QuorateError) as caught:
        swarm.dispatch.refold()
    assert caught.value.code == 1008


def test_a_snapshot_of_another_version_is_refused() -> None:
    swarm = manual(1, spec(1))
    data = swarm.dispatch.one.snapshot()
    with pytest.raises(QuorateError) as caught:
        swarm.dispatch.one.restore(data[:1] + b"\x07" + data[2:])
    assert caught.value.code == 1008
    with pytest.raises(QuorateError) as caught:
        swarm.dispatch.one.restore(data[:-1])
    assert caught.value.code == 1002


def test_a_task_that_runs_out_of_attempts_takes_the_majority_that_it_has() -> None:
    swarm = manual(4, spec(1, replicas=3, quorum=2, retries=0))
    first, second, third = leases(swarm)
    answer(swarm, first, LIE)
    answer(swarm, second, hash_id(b"truth"))
    answer(swarm, third, hash_id(b"truth"))
    while pending := leases(swarm):
        assert view(swarm).state == "validating", "a liar raised the quorum to three"
        swarm.answer(pending[0], code=4001)
        wait(swarm, RETRY_CAP_MS)
    end = view(swarm)
    assert (end.state, end.output) == ("completed", hash_id(b"truth").hex())
    assert [attempt.code for attempt in end.attempts].count(4001) == 3


def test_a_node_that_went_away_is_waited_for_longer_than_a_short_task() -> None:
    swarm = manual(2, spec(1, replicas=2, quorum=2, timeout_ms=1_000))
    one, two = leases(swarm)
    answer(swarm, one, hash_id(b"truth"))
    swarm.record(swarm.dispatch.both("drop_node", two.node, "gone"))
    swarm.record([NodeChanged(two.node, "offline", "gone")])
    wait(swarm, NODE_RETURN_MS - 1_000)
    assert view(swarm).state == "validating", "the node may be on its way back"
    swarm.record([NodeChanged(two.node, "online", "back")])
    swarm.close()
    (again,) = leases(swarm)
    answer(swarm, again, hash_id(b"truth"))
    assert view(swarm).state == "completed"
