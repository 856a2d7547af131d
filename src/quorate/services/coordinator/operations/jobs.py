"""Jobs: a DAG of tasks, submitted at once, watched, cancelled."""

import asyncio
import itertools
from contextlib import aclosing
from typing import Any, Literal

import msgspec
from msgspec import Struct

from quorate.base.codec import from_json, to_json
from quorate.base.errors import CONFLICT, INVALID, TOO_LARGE, QuorateError, require
from quorate.base.ids import HASH_BYTES, UUID_BYTES, parse_id
from quorate.base.limits import JOB_TASKS_MAX, PAGE_DEFAULT, PAGE_MAX
from quorate.model import Id, Operation, TaskSpec
from quorate.model.executions import CommandInput, InputFile
from quorate.model.views import JobView
from quorate.ports import RowFilter
from quorate.services.coordinator.context import Call
from quorate.services.coordinator.messages import Cancel, SubmitJob
from quorate.services.coordinator.operations.pages import row_before

WAIT_MAX_MS = 60_000


class FileIn(Struct, rename="camel", forbid_unknown_fields=True):
    """A file below `in/` of the task's directory: `blob` or `text`."""

    name: str  # relative; folders are made
    blob: str = ""  # the id of a blob that was uploaded
    text: str | None = None  # or its text


class TaskIn(Struct, rename="camel", forbid_unknown_fields=True):
    """One task of a job."""

    name: str  # unique in its job
    executor: str = "command"  # who runs it: `command`, `noop`, or one that a pack brings
    command: list[str] | str | None = None  # argv; a text is a line for /bin/sh
    input: Any = None  # JSON, for other executors
    input_blob: str = ""  # or the id of a blob
    files: list[FileIn] = []  # what lies in `in/`
    env: dict[str, str] = {}  # environment; nothing of the node's is there
    stdin: str | None = None
    network: bool = False  # reach the network, on nodes whose owner allows it
    isolation: bool = True  # only on nodes that can confine it
    deps: list[str] = []  # names of tasks of this job that complete before; their outputs lie in `in/deps/`
    needs: list[str] = []  # capabilities that a node must have
    replicas: int = 1  # nodes that run it at first
    quorum: int = 1  # nodes that must agree; each that differs asks for one more
    validator: str = "exact"  # what agreeing means; `exact`: the same bytes
    timeout_ms: int = 60_000  # of one attempt
    retries: int = 2  # further attempts of a slot that failed
    budget: int = 0  # kept, and not used yet


class JobIn(Struct, rename="camel", forbid_unknown_fields=True):
    """A job: a DAG of tasks, submitted at once."""

    name: str
    tasks: list[dict[str, Any]]
    defaults: dict[str, Any] = {}  # task fields that apply where a task does not say otherwise


class JobRef(Struct, rename="camel", forbid_unknown_fields=True):
    id: str


class JobWait(Struct, rename="camel", forbid_unknown_fields=True):
    id: str
    timeout_ms: int = 30_000


class JobQuery(Struct, rename="camel", forbid_unknown_fields=True):
    state: str = ""
    limit: int = PAGE_DEFAULT
    before: str = ""


class JobSubmittedOut(Struct, rename="camel"):
    """`tasks` maps each task's name to its id."""

    job_id: str
    status: str
    total: int
    tasks: dict[str, str]
    position: int


class JobPage(Struct, rename="camel"):
    items: list[JobView]
    next: str | None


class Workflow(Struct, rename="camel", forbid_unknown_fields=True):
    """A workflow of the agent-framework: `steps` run one after another, or all at once."""

    name: str
    steps: list[dict[str, Any]]
    strategy: Literal["sequential", "parallel"] = "sequential"
    defaults: dict[str, Any] = {}


class _Built(Struct):
    specs: list[TaskSpec]
    names: list[str]
    inputs: dict[Id, bytes]
    ids: dict[str, str]


def _parse(job: JobIn) -> list[TaskIn]:
    require(job.tasks, "a job needs at least one task")
    count = len(job.tasks)
    require(count <= JOB_TASKS_MAX, f"a job has at most {JOB_TASKS_MAX} tasks, this one {count}", TOO_LARGE)
    tasks: list[TaskIn] = []
    for index, given in enumerate(job.tasks):
        try:
            tasks.append(msgspec.convert({**job.defaults, **given}, TaskIn))
        except msgspec.ValidationError as error:
            raise QuorateError(INVALID, f"tasks[{index}]: {error}") from None
    return tasks


def _input_of(task: TaskIn) -> bytes:
    """The bytes that the executor gets."""
    if task.executor != "command" or task.command is None:
        require(task.command is None, f"task {task.name!r}: `command` is for the command executor")
        return b"" if task.input is None else to_json(task.input)
    argv = ["/bin/sh", "-c", task.command] if isinstance(task.command, str) else task.command
    files = tuple(InputFile(name=f.name, id=f.blob or None, data=f.text) for f in task.files)
    return to_json(CommandInput(argv=tuple(argv), files=files, env=task.env, stdin=task.stdin, network=task.network))


async def _build(call: Call, tasks: list[TaskIn]) -> _Built:
    built = _Built([], [], {}, {})
    ids: dict[str, bytes] = {}
    for task in tasks:
        require(task.name not in ids, f"two tasks are called {task.name!r}")
        ids[task.name] = call.new_id()
    for task in tasks:
        if task.input_blob:
            blob = parse_id(task.input_blob, HASH_BYTES, "inputBlob")
        else:
            blob, small = await call.keep(_input_of(task))
            built.inputs.update(small)
        unknown = [name for name in task.deps if name not in ids]
        require(not unknown, f"task {task.name!r} depends on {unknown[:3]}, which the job does not have")
        needs = sorted({*task.needs, *(["isolation"] if task.executor == "command" and task.isolation else [])})
        built.specs.append(
            TaskSpec(
                id=ids[task.name],
                executor=task.executor,
                input=blob,
                deps=tuple(ids[name] for name in task.deps),
                needs=tuple([*needs, "network"] if task.network else needs),
                replicas=task.replicas,
                quorum=task.quorum,
                validator=task.validator,
                timeout_ms=task.timeout_ms,
                retries=task.retries,
                budget=task.budget,
            )
        )
        built.names.append(task.name)
        built.ids[task.name] = ids[task.name].hex()
    return built


async def submit_job(call: Call, given: JobIn) -> JobSubmittedOut:
    """Submit a job: tasks, what each depends on, how many nodes must agree."""
    built = await _build(call, _parse(given))
    job = call.new_id()
    inputs = tuple(built.inputs.items())
    written = await call.write(SubmitJob(job, given.name, tuple(built.specs), tuple(built.names), inputs))
    receipt = written.receipts[0]
    if call.idem:  # a repeated request: the ids are those of the first
        first = await call.coordinator.feed.read(receipt.position - 1, 1)
        job = bytes.fromhex(first[0].view.subject)
        built.ids = await _ids_of(call, [r.position for r in written.receipts])
    return JobSubmittedOut(job.hex(), "queued", len(built.specs), built.ids, receipt.position)


async def _ids_of(call: Call, positions: list[int]) -> dict[str, str]:
    ids: dict[str, str] = {}
    for position in positions:
        for event in await call.coordinator.feed.read(position - 1, 1):
            body = event.view.body
            ids.update(zip(body["names"], (task["id"] for task in body["tasks"]), strict=True))
    return ids


async def get_job(call: Call, given: JobRef) -> JobView:
    """One job."""
    return call.job(given.id)


async def wait_job(call: Call, given: JobWait) -> JobView:
    """Wait until a job is over, or as long as said; the job as it is then."""
    require(0 <= given.timeout_ms <= WAIT_MAX_MS, f"timeoutMs is 0 to {WAIT_MAX_MS}")
    position = call.coordinator.feed.position
    job = call.job(given.id)
    if job.state != "running":
        return job
    key = parse_id(given.id, UUID_BYTES, "job id")
    try:
        async with asyncio.timeout(given.timeout_ms / 1000), aclosing(call.coordinator.feed.follow(position)) as follow:
            async for batch in follow:
                # A job ends with the last of its tasks: nothing else is worth looking it up for.
                if any(event.settled is not None and event.settled.job == key for event in batch):
                    job = call.job(given.id)
                    if job.state != "running":
                        return job
    except TimeoutError:
        job = call.job(given.id)
    return job


async def list_jobs(call: Call, given: JobQuery) -> JobPage:
    """Jobs, newest first."""
    require(1 <= given.limit <= PAGE_MAX, f"limit is 1 to {PAGE_MAX}")
    states = (given.state,) if given.state else ()
    before = row_before(given.before)
    rows = call.coordinator.store.rows("jobs", RowFilter(states=states, before=before, limit=given.limit))
    items = [from_json(row.record, JobView) for _, row in rows]
    return JobPage(items, str(rows[-1][1].order) if len(rows) == given.limit else None)


async def cancel_job(call: Call, given: JobRef) -> JobView:
    """Cancel a job: what runs is stopped, what waits never starts."""
    job = call.job(given.id)
    require(call.repeated or job.state == "running", f"the job is {job.state} already", CONFLICT)
    await call.ask(Cancel(parse_id(job.id, UUID_BYTES), b"", f"cancelled by {call.principal.name}"))
    return call.job(given.id)


async def orchestrate(call: Call, given: Workflow) -> JobSubmittedOut:
    """Execute a workflow: its steps in order, or in parallel."""
    steps = [dict(step) for step in given.steps]
    if given.strategy == "sequential":
        for before, step in itertools.pairwise(steps):
            step.setdefault("deps", [before.get("name", "")])
    return await submit_job(call, JobIn(given.name, steps, given.defaults))


OPERATIONS = (
    Operation(
        "job_submit",
        JobIn,
        JobSubmittedOut,
        "task:create",
        True,
        submit_job,
        ("POST", "/jobs"),
        ("job_submit",),
        "submit",
        status=201,
    ),
    Operation("job_list", JobQuery, JobPage, "task:read", True, list_jobs, ("GET", "/jobs"), ("job_list",), "jobs"),
    Operation("job_get", JobRef, JobView, "task:read", True, get_job, ("GET", "/jobs/{id}"), ("job_get",), "job show"),
    Operation(
        "job_wait", JobWait, JobView, "task:read", True, wait_job, ("GET", "/jobs/{id}/wait"), ("job_wait",), None
    ),
    Operation(
        "job_cancel",
        JobRef,
        JobView,
        "task:cancel",
        True,
        cancel_job,
        ("DELETE", "/jobs/{id}"),
        ("job_cancel",),
        "cancel",
    ),
    Operation(
        "workflow_run",
        Workflow,
        JobSubmittedOut,
        "task:create",
        True,
        orchestrate,
        ("POST", "/orchestration"),
        ("workflow_run",),
        None,
        status=201,
    ),
    Operation("workflow_list", JobQuery, JobPage, "task:read", True, list_jobs, ("GET", "/orchestration"), (), None),
)
