"""Decisions: what a result means, and what follows by itself. Returns bodies of events; folds nothing.

Knows the state as it is now. Each body returned holds only if those before it are folded first, and all
are folded before the next decision is asked for.
Invariants: J1 a result counts only for a lease that its node was given, once. J2 a node votes once a task.
J3 every task ends: failures, lost leases and disagreements are each limited.
"""

from itertools import islice

from quorate.base.codec import pack
from quorate.base.errors import CONFLICT, DEPENDENCY, INVALID, LEASE_LOST, NO_QUORUM, OK, TIMEOUT
from quorate.base.ids import HASH_BYTES, NO_ID, hash_id
from quorate.base.limits import ATTEMPT_REASON_MAX_CHARS, LEASES_PER_EVENT, MS_NS, NODE_RETURN_MS, USAGE_FIELDS_MAX
from quorate.dispatch.fold import Body, State
from quorate.dispatch.roster import LeaseKey, Node
from quorate.dispatch.runs import RUNNING, Doom, Run
from quorate.dispatch.validation import agreement, weigh
from quorate.model import LeasesEnded, Result, ResultsReceived, TaskSettled, TaskState


def judge(state: State, result: Result, words: str) -> tuple[int, tuple[Body, ...]]:
    """What to write for a signed result: (0, bodies), or the code why it does not count."""
    if (
        result.code < 0
        or len(result.usage) > USAGE_FIELDS_MAX
        or (not result.code and len(result.output) != HASH_BYTES)
    ):
        return INVALID, ()
    run = state.runs.get(result.task)
    held = run.attempt(result.slot, result.epoch) if run is not None else None
    if run is None or held is None or held.node != result.node:
        return LEASE_LOST, ()
    if held.answered:
        return CONFLICT, ()
    code, key, reason = weigh(state.validators, run.spec, result, words)
    counts = result.node not in run.votes and (run.over or not run.slots[held.slot].answered)
    if held.code != RUNNING:
        # Late: its lease has ended, and with it what a failure could have told.
        if code != OK or (run.over and run.state != TaskState.COMPLETED):
            return LEASE_LOST, ()
        if not counts:
            return CONFLICT, ()
    if code == OK and counts and not run.over and run.doom is None:
        accepted = agreement({**run.votes, result.node: key}, run.spec.quorum)
        if accepted is not None:
            return OK, (_completed(run, [*run.results, result], {**run.votes, result.node: key}, *accepted),)
    return OK, (ResultsReceived((result,), (reason,)),)


def _completed(run: Run, results: list[Result], votes: dict[bytes, bytes], key: bytes, quorum: int) -> TaskSettled:
    results = sorted(results, key=lambda result: (result.slot, result.epoch))
    agreed = tuple(result for result in results if votes[result.node] == key)
    dissent = tuple(result for result in results if votes[result.node] != key)
    output = agreed[0].output
    return TaskSettled(
        run.spec.id, run.job, spec_hash(run), TaskState.COMPLETED, OK, output, quorum, agreed, dissent, ""
    )


def _ended(run: Run, state: TaskState, code: int, reason: str) -> TaskSettled:
    """A task that ends without an accepted result. Whatever was answered stays on record as dissent."""
    votes = tuple(sorted(run.results, key=lambda result: (result.slot, result.epoch)))
    spec = run.spec
    reason = reason[-ATTEMPT_REASON_MAX_CHARS:]
    return TaskSettled(spec.id, run.job, spec_hash(run), state, code, NO_ID, spec.quorum, (), votes, reason)


def spec_hash(run: Run) -> bytes:
    """The id of a task's specification as it was submitted."""
    return hash_id(pack(run.spec))


def ended_leases(leases: list[LeaseKey], code: int, reason: str) -> tuple[LeasesEnded, ...]:
    """The events that end these leases."""
    reason = reason[-ATTEMPT_REASON_MAX_CHARS:]
    return tuple(
        LeasesEnded(tuple((*lease, code) for lease in leases[start : start + LEASES_PER_EVENT]), reason)
        for start in range(0, len(leases), LEASES_PER_EVENT)
    )


def due(state: State, now: int, limit: int) -> tuple[Body, ...]:
    """What follows by itself at `now`, about `limit` events at most; empty when nothing does."""
    if state.void:
        return _void(sorted(islice(state.void.items(), LEASES_PER_EVENT)))
    if state.doomed:
        return tuple(_doomed(run) for run in islice(state.doomed.values(), limit))
    return _expired(state, now) or _undecidable(state, now, limit)


def _void(void: list[tuple[LeaseKey, int]]) -> tuple[Body, ...]:
    late = [lease for lease, code in void if code == LEASE_LOST]
    cancelled = [(lease, code) for lease, code in void if code != LEASE_LOST]
    bodies = ended_leases(late, LEASE_LOST, "a late result came first")
    if cancelled:
        bodies += ended_leases([lease for lease, _ in cancelled], cancelled[0][1], "the task was cancelled")
    return bodies


def _doomed(run: Run) -> TaskSettled:
    doom = run.doom
    assert isinstance(doom, Doom)
    if doom.state == TaskState.FAILED and doom.code != DEPENDENCY:
        # It ran out of attempts while it asked for more votes than were wanted: those it has may be enough.
        accepted = agreement(run.votes, run.spec.quorum, last_call=True)
        if accepted is not None:
            return _completed(run, run.results, run.votes, *accepted)
    return _ended(run, doom.state, doom.code, doom.reason)


def _expired(state: State, now: int) -> tuple[Body, ...]:
    expired = state.expiries.take(now, LEASES_PER_EVENT)
    for when_ns, lease in expired:
        state.expiries.add(when_ns, lease)  # until the event that ends it is folded
    return ended_leases([lease for _, lease in expired], TIMEOUT, "no answer before the lease expired")


def _undecidable(state: State, now: int, limit: int) -> tuple[Body, ...]:
    """Tasks with votes that nobody is left to add to: the asked quorum will do, or they fail."""
    bodies: list[Body] = []
    while not bodies and (stalled := state.patience.take(now, limit)):
        for when_ns, tag in stalled:
            run = state.runs[tag[0]]
            until_ns = _patience_ns(state, run) if run.open_slots() else run.stalled_ns
            if until_ns is None:
                state.hopeful[tag[0]] = run  # somebody could be asked, but is busy; again when a node changes
            elif until_ns > now:
                state.patience.add(until_ns, tag)
            else:
                state.patience.add(when_ns, tag)  # until the event that settles it is folded
                bodies.append(_last_call(run))
    return tuple(bodies)


def _patience_ns(state: State, run: Run) -> int | None:
    """Until when to wait for a further node to come online; None while one that could be asked is."""
    pool = state.planner.pool_of(run.spec)
    timeout_ns = run.spec.timeout_ms * MS_NS
    until_ns = run.stalled_ns + timeout_ns
    for node in state.roster.nodes.values():
        if node.key in run.votes:
            continue
        if node.key in pool.members:
            return None
        if _suits(node, pool.needs):
            # A node that just went away may be on its way back, however short the task's own timeout.
            until_ns = max(until_ns, node.changed_ns + max(timeout_ns, NODE_RETURN_MS * MS_NS))
    return until_ns


def _suits(node: Node, needs: frozenset[str]) -> bool:
    return needs.issubset(node.capabilities)


def _last_call(run: Run) -> TaskSettled:
    accepted = agreement(run.votes, run.spec.quorum, last_call=True)
    if accepted is not None:
        return _completed(run, run.results, run.votes, *accepted)
    top, _ = run.standing()
    reason = f"{top} of {len(run.votes)} nodes agree, {run.spec.quorum} must, and no further node can be asked"
    return _ended(run, TaskState.FAILED, NO_QUORUM, reason)
