"""The fold: what each event does to the state of unfinished jobs. The only place where that state changes.

Knows events and their time, not the present. Folding the same events gives the same state, whoever
decided on them; queues and timers beside it follow from the state and can be built anew.
Invariants: those of `runs` (D1-D4). F1 a job leaves the state with the event that ends its last task or
last lease, whichever comes later. F2 a settled task wants nothing more, but its leases may still end.
"""

from collections.abc import Mapping

from quorate.base.errors import CANCELLED, DEPENDENCY, LEASE_LOST, OK, TIMEOUT, InvariantBroken, invariant
from quorate.base.limits import (
    ATTEMPTS_KEPT,
    LATENCIES_KEPT,
    LEASES_LOST_MAX,
    MS_NS,
    RETRY_BASE_MS,
    RETRY_CAP_MS,
)
from quorate.dispatch.planning import Planner
from quorate.dispatch.roster import LeaseKey, Roster
from quorate.dispatch.runs import RUNNING, Doom, Held, Job, Run, Slot
from quorate.dispatch.timers import Timers
from quorate.dispatch.totals import Totals
from quorate.dispatch.validation import Validate, weigh
from quorate.model import (
    JobCancelled,
    JobSubmitted,
    Lease,
    LeasesEnded,
    LeasesGranted,
    NodeChanged,
    NodeJoined,
    Result,
    ResultsReceived,
    TaskSettled,
    TaskState,
)
from quorate.numerics import Window

LOSSES_FORGIVEN = 2
"""Leases of a task, for each replica, that may be lost before it waits between them."""
ORDER_SHIFT = 10
"""Bits for a task's index in its event, so that `order` tells all tasks apart."""

Body = JobSubmitted | JobCancelled | LeasesGranted | LeasesEnded | ResultsReceived | TaskSettled
NodeBody = NodeJoined | NodeChanged


def backoff_ns(failures: int) -> int:
    """How long a task waits after its n-th failure."""
    return min(RETRY_CAP_MS, RETRY_BASE_MS << min(failures - 1, 30)) * MS_NS


class State:
    """Jobs in memory, the nodes, and what is derived from them."""

    def __init__(self, validators: Mapping[str, Validate]) -> None:
        self.validators = validators
        self.totals = Totals()
        self.latencies = Window(LATENCIES_KEPT)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.jobs: dict[bytes, Job] = {}
        self.runs: dict[bytes, Run] = {}
        self.roster = Roster()
        self.planner = Planner(self.roster)
        self.dependents: dict[bytes, list[Run]] = {}
        self.doomed: dict[bytes, Run] = {}
        self.void: dict[LeaseKey, int] = {}
        self.hopeful: dict[bytes, Run] = {}
        self.expiries: Timers[LeaseKey] = Timers(self.is_live)
        self.patience: Timers[tuple[bytes, int]] = Timers(self.is_stalled)
        self.started: dict[bytes, dict[tuple[int, int], None]] = {}
        self.counts: dict[TaskState, int] = dict.fromkeys(TaskState, 0)
        self.dirty_runs: dict[bytes, Run] = {}
        self.dirty_jobs: dict[bytes, Job] = {}

    def is_live(self, lease: LeaseKey) -> bool:
        """Does the lease stand?"""
        run = self.runs.get(lease[0])
        if run is None or not 0 <= lease[1] < len(run.slots):
            return False
        slot = run.slots[lease[1]]
        return slot.live and slot.epoch == lease[2]

    def is_stalled(self, tag: tuple[bytes, int]) -> bool:
        """Have the votes of a task been without a lease that could add to them, since then?"""
        run = self.runs.get(tag[0])
        return run is not None and run.stalled_ns == tag[1] and not run.over and tag[0] not in self.hopeful

    def apply(self, body: Body | NodeBody, at_ns: int, position: int) -> None:
        """Fold one event."""
        match body:
            case JobSubmitted():
                self._submitted(body, at_ns, position)
            case LeasesGranted():
                for lease in body.leases:
                    self._granted(lease, at_ns)
            case ResultsReceived():
                for result, words in zip(body.results, body.reasons, strict=True):
                    run = self._run(result.task)
                    self._absorb(run, result, words, at_ns, position)
                    self._touch(run, at_ns)
            case TaskSettled():
                self._settled(body, at_ns, position)
            case LeasesEnded():
                for task, slot, epoch, code in body.ended:
                    self._ended((task, slot, epoch), code, body.reason, at_ns, position)
            case JobCancelled():
                self._cancelled(body, position)
            case NodeJoined():
                self.roster.joined(body, at_ns, position)
                self._look_again()
            case NodeChanged():
                self.roster.changed(body, at_ns)
                self._look_again()

    def _run(self, task: bytes) -> Run:
        run = self.runs.get(task)
        if run is None:
            raise InvariantBroken(f"an event for task {task.hex()}, which is not in memory")
        return run

    def _submitted(self, body: JobSubmitted, at_ns: int, position: int) -> None:
        first = position << ORDER_SHIFT
        job = self.jobs.get(body.job)
        if job is None:
            job = self.jobs[body.job] = Job(body.job, body.name, body.owner, body.total, at_ns, first)
        invariant(body.first == len(job.runs), "chunks of a job follow each other")
        self.totals.submitted += len(body.tasks)
        self.dirty_jobs[job.id] = job
        for index, (spec, name) in enumerate(zip(body.tasks, body.names, strict=True)):
            invariant(spec.id not in self.runs, "a task is submitted once")
            run = Run(spec, name, body.job, first + index, at_ns, len(spec.deps))
            job.runs[spec.id] = self.runs[spec.id] = run
            self.counts[run.state] += 1
            job.moved(None, run.state)
            self.dirty_runs[spec.id] = run
            self._await(run)
            if not run.waits_for:
                run.ready_at = position
                self.planner.place(run)

    def _await(self, run: Run) -> None:
        for dep in run.spec.deps:
            self.dependents.setdefault(dep, []).append(run)

    def _granted(self, lease: Lease, at_ns: int) -> None:
        run = self._run(lease.task)
        if lease.slot == len(run.slots):
            run.slots.append(Slot())
        slot = run.slots[lease.slot]
        invariant(not run.over and run.doom is None, "D4: only a task that goes on is leased")
        invariant(not slot.live and not slot.answered and lease.epoch == slot.epoch + 1, "D1: one lease a slot")
        invariant(lease.node not in run.live and lease.node not in run.votes, "D3: replicas on distinct nodes")
        self.totals.leases += 1
        self.totals.reassigned += slot.lost
        slot.epoch, slot.live, slot.lost = lease.epoch, True, False
        run.live[lease.node] = lease.slot
        run.started_ns = run.started_ns or at_ns
        run.held.append(Held(lease.slot, lease.epoch, lease.node, at_ns, lease.expires_ns))
        if len(run.held) > ATTEMPTS_KEPT:
            # At most REPLICAS_MAX attempts run, so an ended one is found.
            run.held.remove(next(held for held in run.held if held.code != RUNNING))
        self.jobs[run.job].leases += 1
        self.roster.take(lease)
        self.expiries.add(lease.expires_ns, (lease.task, lease.slot, lease.epoch))
        self._touch(run, at_ns)

    def _release(self, run: Run, held: Held, at_ns: int) -> None:
        """A live lease ends, one way or another."""
        run.slots[held.slot].live = False
        held.ended_ns = at_ns
        del run.live[held.node]
        lease = (run.spec.id, held.slot, held.epoch)
        self.roster.release(held.node, lease)
        self.void.pop(lease, None)
        self.jobs[run.job].leases -= 1
        started = self.started.get(run.spec.id)
        if started is not None:
            started.pop((held.slot, held.epoch), None)
            if not started:
                del self.started[run.spec.id]

    def _ended(self, lease: LeaseKey, code: int, reason: str, at_ns: int, position: int) -> None:
        run = self._run(lease[0])
        held = run.attempt(lease[1], lease[2])
        invariant(held is not None and held.code == RUNNING, "D1: a lease ends once")
        assert held is not None
        self._release(run, held, at_ns)
        held.code, held.reason = code, reason
        slot = run.slots[held.slot]
        if run.over:
            if code == TIMEOUT and run.state == TaskState.COMPLETED:
                self.roster.observe(held.node, failed=1)
        elif code == TIMEOUT and not slot.answered:
            slot.lost = True
            self._failed(run, held, code, reason, at_ns, position)
        elif code == LEASE_LOST and not slot.answered:
            run.lost += 1
            # At once for the first few; after that it may be one node that hands back whatever it is given.
            patient = max(0, run.lost - LOSSES_FORGIVEN * run.spec.replicas)
            slot.lost, slot.ready_ns = True, at_ns + (backoff_ns(patient) if patient else 0)
            run.avoided.setdefault(held.node, False)
            if run.lost > LEASES_LOST_MAX:
                self._doom(run, Doom(TaskState.FAILED, code, f"{run.lost} leases lost: {reason}", position))
        self._touch(run, at_ns)

    def _failed(self, run: Run, held: Held, code: int, reason: str, at_ns: int, position: int) -> None:
        """An attempt failed: again after a while, on another node if there is one, up to a limit."""
        run.failures += 1
        run.avoided[held.node] = True
        run.slots[held.slot].ready_ns = at_ns + backoff_ns(run.failures)
        if run.failures > run.spec.retries + run.spec.replicas - 1:
            self._doom(run, Doom(TaskState.FAILED, code, reason, position))

    def _absorb(self, run: Run, result: Result, words: str, at_ns: int, position: int) -> None:
        """A signed result: it ends its lease, and is a vote, a failure or evidence."""
        held = run.attempt(result.slot, result.epoch)
        invariant(held is not None and held.node == result.node and not held.answered, "one result a lease")
        assert held is not None
        code, key, reason = weigh(self.validators, run.spec, result, words)
        late = held.code != RUNNING
        if not late:
            self._release(run, held, at_ns)
        held.ended_ns, held.code, held.answered = at_ns, code, True
        held.output, held.usage = result.output, result.usage
        held.reason = reason or ("late" if late else "")
        node = self.roster.saw(result.node, at_ns)
        slot = run.slots[held.slot]
        if code != OK:
            if not run.over:
                self._failed(run, held, code, reason, at_ns, position)
            elif run.state == TaskState.COMPLETED:
                self.roster.observe(node.key, failed=1)
        elif node.key not in run.votes and (run.state == TaskState.COMPLETED if run.over else not slot.answered):
            slot.answered, slot.lost = True, False
            run.votes[node.key] = key
            if run.over:
                self._evidence(run, node.key)
                return
            run.results.append(result)
            self._supersede(run, held)

    def _supersede(self, run: Run, held: Held) -> None:
        """A late vote leaves nothing to do for a newer lease of its slot, or for another one of its node."""
        for other in run.held:
            if other.code == RUNNING and (other.slot == held.slot or other.node == held.node):
                self.void[run.spec.id, other.slot, other.epoch] = LEASE_LOST

    def _evidence(self, run: Run, node: bytes) -> None:
        """Hold a vote against the accepted result. A result that no second node confirmed proves nothing."""
        agreed = run.votes[node] == run.key
        if not agreed:
            self.totals.rejected += 1
        if sum(key == run.key for key in run.votes.values()) > 1:
            self.roster.observe(node, agreed=int(agreed), dissented=int(not agreed))

    def _settled(self, body: TaskSettled, at_ns: int, position: int) -> None:
        run = self._run(body.task)
        invariant(not run.over, "D4: a task settles once")
        for result in body.agreed + body.dissent:
            if result.node not in run.votes:
                self._absorb(run, result, "", at_ns, position)
        self.doomed.pop(body.task, None)
        self.hopeful.pop(body.task, None)
        run.results.clear()
        run.doom, run.stalled_ns = None, 0
        run.code, run.reason, run.output = body.code, body.reason, body.output
        run.ended_ns, run.settled_at = at_ns, position
        job = self.jobs[run.job]
        state = TaskState(body.state)
        self._move(run, state)
        if state == TaskState.COMPLETED:
            run.key = run.votes[body.agreed[0].node]
            self.totals.completed += 1
            self.latencies.add(at_ns - run.created_ns)
            self._credit(run)
        elif state == TaskState.FAILED:
            self.totals.failed += 1
        else:
            self.totals.cancelled += 1
            for lease in run.held:
                if lease.code == RUNNING:
                    self.void[body.task, lease.slot, lease.epoch] = CANCELLED
        self.planner.place(run)
        self._tell_dependents(run, position)
        if job.over:
            job.ended_ns = at_ns
        self._touch(run, at_ns)

    def _credit(self, run: Run) -> None:
        """What a completed task proves about its nodes, failures included: it could be done."""
        for node in run.votes:
            self._evidence(run, node)
        for node, failed in run.avoided.items():
            if failed and node not in run.votes:
                self.roster.observe(node, failed=1)

    def _tell_dependents(self, run: Run, position: int) -> None:
        for other in self.dependents.pop(run.spec.id, ()):
            if run.state == TaskState.COMPLETED:
                other.waits_for -= 1
                if not other.waits_for:
                    other.ready_at = position
                    self.planner.place(other)
            else:
                reason = f"{run.name or run.spec.id.hex()} {run.state.value}"
                self._doom(other, Doom(run.state, DEPENDENCY, reason, position))

    def _cancelled(self, body: JobCancelled, position: int) -> None:
        job = self.jobs[body.job]
        reason = body.reason or "cancelled"
        for run in (self._run(body.task),) if body.task else tuple(job.runs.values()):
            self._doom(run, Doom(TaskState.CANCELLED, CANCELLED, reason, position))

    def _doom(self, run: Run, doom: Doom) -> None:
        """Seal a task's end; the first to do so counts."""
        if not run.over and run.doom is None:
            run.doom = doom
            self.doomed[run.spec.id] = run
            self.planner.place(run)

    def _look_again(self) -> None:
        """A node is not what it was: tasks that only it could have decided must be looked at again."""
        hopeful = list(self.hopeful.values())
        self.hopeful.clear()
        for run in hopeful:
            self.watch(run)

    def watch(self, run: Run) -> None:
        """Look at a stalled run when its patience ends; at once when it may ask nobody else anyway."""
        patience = run.spec.timeout_ms * MS_NS if run.open_slots() else 0
        self.patience.add(run.stalled_ns + patience, (run.spec.id, run.stalled_ns))

    def _touch(self, run: Run, at_ns: int) -> None:
        """After anything happened to a run: its state, its place in the queues, its rows, its job's end."""
        job = self.jobs[run.job]
        if not run.over:
            state = TaskState.VALIDATING if run.votes else TaskState.ASSIGNED if run.live else TaskState.QUEUED
            if state != run.state:
                self._move(run, state)
            stalled_ns = at_ns if run.votes and not run.busy() else 0
            if stalled_ns != run.stalled_ns:
                run.stalled_ns = stalled_ns
                self.hopeful.pop(run.spec.id, None)
                if stalled_ns:
                    self.watch(run)
            self.planner.place(run)
        self.dirty_runs[run.spec.id] = run
        self.dirty_jobs[job.id] = job
        if job.over and not job.leases:
            del self.jobs[job.id]
            for task in job.runs:
                self.counts[self.runs.pop(task).state] -= 1

    def _move(self, run: Run, state: TaskState) -> None:
        self.jobs[run.job].moved(run.state, state)
        self.counts[run.state] -= 1
        self.counts[state] += 1
        run.state = state
