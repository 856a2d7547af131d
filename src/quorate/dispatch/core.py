"""`Dispatch`: the door of the room. Runs of tasks from submission to settlement, on nodes nobody trusts.

Sole owner of the run state of unfinished jobs. Decisions (`draft_job`, `judge`, `due`, `plan`, ...) return
bodies of events and change nothing; the caller seals each as an event and at once folds it with `apply`,
in that order and before it asks for the next decision. After a restart the same `apply` folds the log.
Knows no clock, disk, link or signature: `now` and event times are arguments, results come verified.
"""

from collections.abc import Mapping, Sequence

from quorate.base.errors import CONFLICT, LEASE_LOST, NOT_FOUND, RATE_LIMITED, require
from quorate.base.limits import DECISIONS_MAX, LEASES_PER_EVENT, LIVE_TASKS_MAX, NAME_MAX_CHARS
from quorate.dispatch import judgement, snapshots, views
from quorate.dispatch.fold import Body, NodeBody, State
from quorate.dispatch.jobs import check_job, cut
from quorate.dispatch.roster import ONLINE, Node
from quorate.dispatch.runs import RUNNING, Job, Run
from quorate.dispatch.totals import Totals
from quorate.dispatch.validation import VALIDATORS, Validate
from quorate.model import (
    Id,
    JobCancelled,
    JobSubmitted,
    Lease,
    LeasesEnded,
    LeasesGranted,
    Project,
    Result,
    TaskSpec,
    TaskState,
)
from quorate.model.views import JobView, NodeView, TaskView
from quorate.numerics import Window


class Dispatch:
    """The run state and everything that is decided about it."""

    def __init__(self, validators: Mapping[str, Validate] = VALIDATORS) -> None:
        self._state = State(validators)

    def apply(self, body: Body | NodeBody, at_ns: int, position: int) -> None:
        """Fold one event. `at_ns`: its own time, not the present; `position`: its place in the log."""
        self._state.apply(body, at_ns, position)

    def draft_job(
        self, job: bytes, name: str, tasks: Sequence[TaskSpec], names: Sequence[str], idem: str, owner: str = ""
    ) -> tuple[JobSubmitted, ...]:
        """The events of a new job. Raises 1002, 1004, 1006, 1007, 1008 or 4000 when it may not be."""
        state = self._state
        check_job(job, name, tasks, names, state.validators)
        live = len(state.runs) + len(tasks)
        require(live <= LIVE_TASKS_MAX, f"{live} tasks of unfinished jobs, at most {LIVE_TASKS_MAX}", RATE_LIMITED)
        require(job not in state.jobs, f"job {job.hex()} is there already", CONFLICT)
        known = next((spec.id for spec in tasks if spec.id in state.runs), None)
        require(known is None, f"a task with id {(known or b'').hex()} is there already", CONFLICT)
        return cut(job, name, tasks, names, idem, owner)

    def judge(self, result: Result, words: str, now: int) -> tuple[int, tuple[Body, ...]]:
        """What a signed result means: (0, bodies to append), or the code why it does not count.

        `words`: a failure's last. It counts by its lease, not by its time of arrival: `now` decides nothing.
        """
        return judgement.judge(self._state, result, words)

    def due(self, now: int) -> tuple[Body, ...]:
        """What follows by itself: ended leases, settled tasks. Ask again until it is empty."""
        return judgement.due(self._state, now, DECISIONS_MAX)

    def plan(self, now: int, limit: int = LEASES_PER_EVENT) -> tuple[LeasesGranted, ...]:
        """Leases for whatever can be leased now, in one event. Ask again until it is empty."""
        leases = self._state.planner.plan(now, min(limit, LEASES_PER_EVENT))
        return (LeasesGranted(tuple(leases)),) if leases else ()

    def deadline(self) -> int | None:
        """When `due` or `plan` next has something to say though nothing happened; it may be over-cautious."""
        state = self._state
        times = (state.expiries.next(), state.patience.next(), state.planner.deadline())
        return min((time for time in times if time is not None), default=None)

    def cancel(self, job: bytes, task: bytes, reason: str) -> tuple[JobCancelled, ...]:
        """The event that cancels a job, or one task of it. Raises 1000 when there is none, 1006 when it is over."""
        known = self._state.jobs.get(job)
        require(known is not None, f"no unfinished job {job.hex()}", NOT_FOUND)
        assert known is not None
        require(not known.over, f"job {job.hex()} is over: {known.state}", CONFLICT)
        if task:
            run = known.runs.get(task)
            require(run is not None, f"no task {task.hex()} in job {job.hex()}", NOT_FOUND)
            assert run is not None
            require(not run.over, f"task {task.hex()} is over: {run.state.value}", CONFLICT)
        return (JobCancelled(job, task, reason[:NAME_MAX_CHARS]),)

    def drop_node(self, node: bytes, reason: str) -> tuple[LeasesEnded, ...]:
        """End every lease of a node that is gone."""
        return judgement.ended_leases(sorted(self._state.roster.held.get(node, ())), LEASE_LOST, reason)

    def hand_back(self, node: bytes, items: Sequence[tuple[bytes, int, int]], reason: str) -> tuple[LeasesEnded, ...]:
        """End the leases that a node gives back unfinished; others' leases and void ones are passed over."""
        held = self._state.roster.held.get(node, {})
        back = [lease for lease in dict.fromkeys(items) if lease in held]
        return judgement.ended_leases(back, LEASE_LOST, reason)

    def keep_only(self, node: bytes, running: Sequence[Lease]) -> tuple[LeasesEnded, ...]:
        """End the leases that a node, back on a new link, does not say it runs."""
        kept = {(lease.task, lease.slot, lease.epoch) for lease in running}
        gone = [lease for lease in sorted(self._state.roster.held.get(node, ())) if lease not in kept]
        return judgement.ended_leases(gone, LEASE_LOST, "the node no longer runs it")

    def started(self, node: bytes, task: bytes, slot: int, epoch: int) -> None:
        """A node says that it began to run a lease of its own. Shown, not recorded."""
        state = self._state
        if (task, slot, epoch) in state.roster.held.get(node, {}):
            state.started.setdefault(task, {})[slot, epoch] = None
            state.dirty_runs[task] = state.runs[task]

    def rows(self) -> tuple[Project, ...]:
        """Rows of everything that changed since the last call, each once."""
        return views.rows(self._state)

    def skip_rows(self) -> None:
        """Take what changed as written: after a replay, whose rows are on disk."""
        views.skip_rows(self._state)

    def snapshot(self) -> bytes:
        """The state as bytes: equal state, equal bytes. Rows that were not fetched are not part of it."""
        return snapshots.snapshot(self._state)

    def restore(self, data: bytes) -> None:
        """Replace the state by a snapshot's. Raises 1002 or 1008."""
        snapshots.restore(self._state, data)

    def lease_of(self, task: bytes, slot: int, epoch: int) -> Lease | None:
        """A lease, if it is live."""
        run = self._state.runs.get(task)
        held = run.attempt(slot, epoch) if run is not None else None
        return run.lease(held) if run is not None and held is not None and held.code == RUNNING else None

    def leases_of(self, task: bytes) -> tuple[Lease, ...]:
        """The live leases of a task, by slot."""
        run = self._state.runs.get(task)
        held = sorted((h.slot, h.epoch, h) for h in run.held if h.code == RUNNING) if run is not None else []
        return tuple(run.lease(h) for _, _, h in held) if run is not None else ()

    def leases_on(self, node: bytes) -> tuple[Lease, ...]:
        """The live leases that a node holds."""
        return self._state.roster.leases_of(node)

    def spec_of(self, task: bytes) -> TaskSpec | None:
        """What a task of an unfinished job is."""
        run = self._state.runs.get(task)
        return run.spec if run is not None else None

    def job_of(self, task: bytes) -> bytes:
        """The job of a task that is not over; empty when it is, or there is none."""
        run = self._state.runs.get(task)
        return run.job if run is not None and not run.over else b""

    def state_of(self, task: bytes) -> TaskState | None:
        """Where a task of an unfinished job is."""
        run = self._state.runs.get(task)
        return views.state_of(self._state, run) if run is not None else None

    def dep_outputs(self, task: bytes) -> tuple[tuple[str, Id], ...]:
        """(name, output) of each task that this one depends on, in the order of its deps. Raises 1000, 1006."""
        run = self._task(task)
        deps = [self._state.runs[dep] for dep in run.spec.deps]
        require(all(dep.state == TaskState.COMPLETED for dep in deps), "its deps are not all completed", CONFLICT)
        return tuple((dep.name or dep.spec.id.hex(), dep.output) for dep in deps)

    def _task(self, task: bytes) -> Run:
        run = self._state.runs.get(task)
        require(run is not None, f"no task {task.hex()} of an unfinished job", NOT_FOUND)
        assert run is not None
        return run

    def node_spec(self, node: bytes) -> Node | None:
        """A node that joined: its name, capabilities, slots, state."""
        return self._state.roster.nodes.get(node)

    def node_state(self, node: bytes) -> str | None:
        """`online`, `offline` or `draining`; None for a stranger."""
        known = self._state.roster.nodes.get(node)
        return known.state if known is not None else None

    def executors(self) -> frozenset[str]:
        """The names of all executors that a node which ever joined offers."""
        return self._state.roster.executors()

    def online(self) -> tuple[bytes, ...]:
        """The nodes that may be given leases, in the order they joined."""
        return tuple(node.key for node in self._state.roster.nodes.values() if node.state == ONLINE)

    def task_view(self, task: bytes) -> TaskView:
        """A task of an unfinished job. Raises 1000."""
        return views.task_view(self._state, self._task(task))

    def job_view(self, job: bytes) -> JobView:
        """A job that is unfinished, or has leases out. Raises 1000."""
        known: Job | None = self._state.jobs.get(job)
        require(known is not None, f"no unfinished job {job.hex()}", NOT_FOUND)
        assert known is not None
        return views.job_view(known)

    def node_views(self) -> tuple[NodeView, ...]:
        """All nodes, in the order they joined."""
        return tuple(views.node_view(self._state, node) for node in self._state.roster.nodes.values())

    def counts(self) -> dict[str, int]:
        """Tasks in memory by state: those of unfinished jobs."""
        state = self._state
        counts = {name.value: count for name, count in state.counts.items()}
        executing = sum(state.runs[task].state == TaskState.ASSIGNED for task in state.started)
        counts[TaskState.ASSIGNED.value] -= executing
        counts[TaskState.EXECUTING.value] = executing
        return counts

    @property
    def queue_depth(self) -> int:
        """Tasks that wait for a lease."""
        return self._state.planner.depth

    @property
    def totals(self) -> Totals:
        """Counters since the realm began."""
        return self._state.totals

    @property
    def latencies(self) -> Window:
        """Submission to completion of the last tasks, nanoseconds of event time."""
        return self._state.latencies
