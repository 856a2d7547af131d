"""Rows of the read model: what the state looks like from outside. Derives, decides nothing.

Knows the views' types. Invariant: but for `executing`, which nodes report and no event records, a row
depends on the events alone, so that a re-fold writes the same rows.
"""

from quorate.base.codec import to_json
from quorate.base.ids import NO_ID
from quorate.base.limits import MS_NS
from quorate.dispatch.fold import ORDER_SHIFT, State
from quorate.dispatch.roster import Node
from quorate.dispatch.runs import RUNNING, Held, Job, Run
from quorate.model import Project, Row, TaskState
from quorate.model.views import AttemptView, JobView, NodeView, TaskView

TASKS = "tasks"
JOBS = "jobs"
NODES = "nodes"


def _ms(at_ns: int) -> int | None:
    return at_ns // MS_NS if at_ns else None


def state_of(state: State, run: Run) -> TaskState:
    """A task's state, with what its nodes reported since."""
    begun = run.state == TaskState.ASSIGNED and run.spec.id in state.started
    return TaskState.EXECUTING if begun else run.state


def _attempt_view(held: Held) -> AttemptView:
    return AttemptView(
        slot=held.slot,
        epoch=held.epoch,
        node=held.node.hex(),
        started_ms=held.leased_ns // MS_NS,
        ended_ms=_ms(held.ended_ns),
        code=None if held.code == RUNNING else held.code,
        reason=held.reason,
        output=held.output.hex() if held.output != NO_ID else "",
        usage=held.usage,
    )


def _verdict(run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Who agreed with the accepted result, and who did not; without one all who voted stand as dissent."""
    if not run.over:
        return (), ()
    completed = run.state == TaskState.COMPLETED
    agreed = tuple([node.hex() for node, key in run.votes.items() if completed and key == run.key])
    return agreed, tuple([node.hex() for node, key in run.votes.items() if not completed or key != run.key])


def task_view(state: State, run: Run) -> TaskView:
    """A task with every attempt, and who agreed."""
    spec = run.spec
    agreed, dissent = _verdict(run)
    return TaskView(
        id=spec.id.hex(),
        job=run.job.hex(),
        name=run.name,
        state=state_of(state, run).value,
        executor=spec.executor,
        deps=tuple([dep.hex() for dep in spec.deps]),
        replicas=spec.replicas,
        quorum=spec.quorum,
        validator=spec.validator,
        created_ms=run.created_ns // MS_NS,
        started_ms=_ms(run.started_ns),
        ended_ms=_ms(run.ended_ns),
        code=run.code,
        reason=run.reason,
        input=spec.input.hex(),
        output=run.output.hex() if run.output != NO_ID else "",
        attempts=tuple([_attempt_view(held) for held in run.held]),
        agreed=agreed,
        dissent=dissent,
        settled_at=run.settled_at,
        submitted_at=run.order >> ORDER_SHIFT,
    )


def job_view(job: Job) -> JobView:
    """A job and how many of its tasks are where."""
    return JobView(
        id=job.id.hex(),
        name=job.name,
        state=job.state,
        total=job.total,
        queued=job.queued,
        running=job.running,
        completed=job.completed,
        failed=job.failed,
        cancelled=job.cancelled,
        created_ms=job.created_ns // MS_NS,
        ended_ms=_ms(job.ended_ns),
        owner=job.owner,
    )


def node_view(state: State, node: Node) -> NodeView:
    """A node, its load and its reputation."""
    return NodeView(
        id=node.key.hex(),
        name=node.name,
        state=node.state,
        capabilities=node.capabilities,
        slots=node.slots,
        running=len(state.roster.held[node.key]),
        reputation=node.reputation.mean,
        evidence=(node.agreed, node.dissented, node.failed),
        last_seen_ms=node.seen_ns // MS_NS,
        joined_ms=node.joined_ns // MS_NS,
    )


def rows(state: State) -> tuple[Project, ...]:
    """Everything that changed since the last call, each once."""
    changed: list[Project] = []
    for task, run in state.dirty_runs.items():
        view = task_view(state, run)
        changed.append(Project(TASKS, task, Row(run.job, view.state, "", run.order, to_json(view))))
    for id, job in state.dirty_jobs.items():
        changed.append(Project(JOBS, id, Row(b"", job.state, job.owner, job.order, to_json(job_view(job)))))
    for key in state.roster.dirty:
        node = state.roster.nodes[key]
        changed.append(Project(NODES, key, Row(b"", node.state, "", node.order, to_json(node_view(state, node)))))
    skip_rows(state)
    return tuple(changed)


def skip_rows(state: State) -> None:
    """Forget what changed: its rows are written already."""
    state.dirty_runs = {}
    state.dirty_jobs = {}
    state.roster.dirty = {}
