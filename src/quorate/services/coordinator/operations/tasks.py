"""Tasks: those that run on nodes, and those that people and agents keep in the work tree, under one roof.

A task with an executor is a job of one; a task without is a work node. Either can have a title, an
assignee, tags and fields of its own: those are the work tree's.
"""

import heapq
from collections.abc import Iterator
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from quorate.base.codec import from_json
from quorate.base.errors import CONFLICT, INVALID, NOT_FOUND, OK, QuorateError, require
from quorate.base.ids import UUID_BYTES, parse_id
from quorate.base.limits import PAGE_DEFAULT, PAGE_MAX, TITLE_MAX_CHARS
from quorate.base.names import is_clean
from quorate.model import TERMINAL, Operation, Row, TaskState
from quorate.model.receipts import TaskReceipt
from quorate.model.views import TaskView
from quorate.ports import RowFilter
from quorate.services.coordinator.context import Call
from quorate.services.coordinator.messages import Cancel, Delete, Wish, WriteWork
from quorate.services.coordinator.operations.jobs import FileIn, JobIn, submit_job
from quorate.services.coordinator.operations.pages import row_before
from quorate.services.coordinator.proofs import receipt_of

STATES = tuple(state.value for state in TaskState)


class TaskNew(Struct, rename="camel", forbid_unknown_fields=True):
    """A new task. With `command` or `executor` it runs; without it is work to be done by `assignee`.
    `type`, `prompt`, `context`, `requirements`, `quality` are open-swarm's and kept as fields."""

    title: str = ""
    description: str = ""
    type: str = ""
    prompt: str = ""
    context: Any = None
    requirements: Any = None
    quality: str = ""
    parent: str = ""
    assignee: str = ""
    tags: list[str] = []
    priority: str = ""
    status: str = ""
    executor: str = ""
    command: list[str] | str | None = None
    input: Any = None
    input_blob: str = ""
    files: list[FileIn] = []
    network: bool = False
    isolation: bool = True
    needs: list[str] = []
    replicas: int = 1
    quorum: int = 1
    validator: str = "exact"
    timeout_ms: int = 60_000
    retries: int = 2


class TaskCreated(Struct, rename="camel"):
    """`assignedNodes` is filled once nodes have leases; an estimate that was not measured is absent."""

    id: str
    task_id: str
    job_id: str
    status: str
    assigned_nodes: tuple[str, ...] = ()


class TaskChange(Struct, rename="camel", forbid_unknown_fields=True):
    """What to change of a task. A field of `fields` set to null is written as null."""

    id: str
    title: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    assignee: str | UnsetType = UNSET
    priority: str | UnsetType = UNSET
    parent: str | UnsetType = UNSET
    add_tags: list[str] = []
    remove_tags: list[str] = []
    tags: list[str] | UnsetType = UNSET
    fields: dict[str, Any] = {}


class TaskQuery(Struct, rename="camel", forbid_unknown_fields=True):
    state: str = ""
    status: str = ""
    job: str = ""
    parent: str = ""
    assignee: str = ""
    tag: str = ""
    q: str = ""
    limit: int = PAGE_DEFAULT
    before: str = ""


class TaskRef(Struct, rename="camel", forbid_unknown_fields=True):
    id: str


class TaskDetail(TaskView, frozen=True):
    """A task, with open-swarm's names for its id and state. `progress`: how much of what it needs is there, in percent:
    of its quorum the answers that agree, or might."""

    task_id: str = ""
    status: str = ""
    progress: int = 0


class TaskPage(Struct, rename="camel"):
    items: list[TaskView]
    next: str | None


class ResultView(Struct, rename="camel"):
    node: str
    slot: int
    epoch: int
    code: int
    output: str
    agreed: bool
    reason: str
    usage: tuple[int, ...] = ()


class TaskResults(Struct, rename="camel"):
    """`output` is the text of the agreed output when it is short UTF-8 text; its bytes are blob `outputBlob`."""

    task_id: str
    status: str
    results: list[ResultView]
    output_blob: str
    output: str | None
    reason: str


OUTPUT_SHOWN_BYTES = 64 * 1024
SCAN_PAGES = 20


async def create_task(call: Call, given: TaskNew) -> TaskCreated:
    """Create a task: one that runs on nodes, or one that somebody will do."""
    require(len(given.title) <= TITLE_MAX_CHARS, f"a title has at most {TITLE_MAX_CHARS} characters")
    if given.command is not None or given.executor:
        return await _run_task(call, given)
    require(is_clean(given.title), "the title has control characters")
    _check_tags(given.tags)
    title = given.title or given.prompt.strip().partition("\n")[0][:TITLE_MAX_CHARS]
    require(title, "a task needs a title or a prompt, or a command to run")
    subject = call.new_id()
    parent = parse_id(given.parent, UUID_BYTES, "parent") if given.parent else b""
    wishes = [Wish("create", subject, ("task", title, parent))]
    status = _state(given.status or "queued")
    fields = {"status": status, "assignee": given.assignee, "priority": given.priority, "prompt": given.prompt}
    fields |= {"description": given.description, "type": given.type, "quality": given.quality}
    wishes += [Wish("set", subject, (name, value)) for name, value in fields.items() if value]
    for name, value in (("context", given.context), ("requirements", given.requirements)):
        wishes += [Wish("set", subject, (name, value))] if value is not None else []
    wishes += [Wish("add", subject, ("tags", tag)) for tag in given.tags]
    written = await call.write(WriteWork(tuple(wishes)))
    id = await _first_subject(call, written.receipts[0].position)
    return TaskCreated(id, id, "", status)


def _check_tags(tags: list[str]) -> None:
    for tag in tags:
        require(tag and is_clean(tag), f"the tag {tag[:40]!r} is empty or has control characters")


async def _first_subject(call: Call, position: int) -> str:
    return (await call.coordinator.feed.read(position - 1, 1))[0].view.subject


async def _run_task(call: Call, given: TaskNew) -> TaskCreated:
    name = given.title or given.type or "task"
    task: dict[str, Any] = {
        "name": name,
        "executor": given.executor or "command",
        "command": given.command,
        "input": given.input,
        "inputBlob": given.input_blob,
        "files": [{"name": f.name, "blob": f.blob, "text": f.text} for f in given.files],
        "network": given.network,
        "isolation": given.isolation,
        "needs": given.needs,
        "replicas": given.replicas,
        "quorum": given.quorum,
        "validator": given.validator,
        "timeoutMs": given.timeout_ms,
        "retries": given.retries,
    }
    submitted = await submit_job(call, JobIn(name, [task]))
    id = next(iter(submitted.tasks.values()))
    return TaskCreated(id, id, submitted.job_id, "queued")


def _state(text: str) -> str:
    require(text in STATES, f"status {text[:40]!r} is none of {', '.join(STATES)}")
    return text


class Kind(Struct):
    kind: str


def find_task(call: Call, id: str) -> TaskView:
    """A task: its run if it has one, with what the work tree knows of it. Raises 1000."""
    key = parse_id(id, UUID_BYTES, "task id")
    run = call.coordinator.store.row("tasks", key)
    work = call.coordinator.store.row("work", key)
    return _told(key, run, work)


def _told(key: bytes, run: Row | None, work: Row | None) -> TaskView:
    """A task as its rows tell it. Raises 1000 when neither is a task's."""
    if work is not None and from_json(work.record, Kind).kind != "task":
        work = None
    if run is None and work is None:
        raise QuorateError(NOT_FOUND, f"no task {key.hex()}")
    if run is None or work is None:
        row = run or work
        assert row is not None
        return from_json(row.record, TaskView)
    return _merged(from_json(run.record, TaskView), from_json(work.record, TaskView))


def _merged(run: TaskView, work: TaskView) -> TaskView:
    extra = {"assignee": work.assignee, "tags": work.tags, "fields": work.fields, "parent": work.parent}
    return replace(run, **extra)


async def get_task(call: Call, given: TaskRef) -> TaskDetail:
    """One task: state, attempts, who agreed, and why it ended as it did."""
    view = find_task(call, given.id)
    answers = sum(attempt.code == OK for attempt in view.attempts) if view.executor else 0
    progress = 100 if view.state == TaskState.COMPLETED else 100 * min(answers, view.quorum) // max(view.quorum, 1)
    known: dict[str, Any] = {name: getattr(view, name) for name in view.__struct_fields__}
    return TaskDetail(**known, task_id=view.id, status=view.state, progress=progress)


async def list_tasks(call: Call, given: TaskQuery) -> TaskPage:
    """Tasks, newest first, filtered by state, job, assignee, tag or text."""
    require(1 <= given.limit <= PAGE_MAX, f"limit is 1 to {PAGE_MAX}")
    state = given.state or given.status
    require(not state or _state(state), "state")
    parent = parse_id(given.job or given.parent, UUID_BYTES, "job") if given.job or given.parent else b""
    where = RowFilter(parent, (state,) if state else (), given.assignee, 0, PAGE_MAX)
    seen = _page(given.before)
    items: list[TaskView] = []
    scans = (_scan(call, table, where, seen) for table in seen)
    for table, order, view in heapq.merge(*scans, key=lambda found: (-found[2].created_ms, found[2].id)):
        seen[table] = order
        if _fits(view, given):
            items.append(view)
        if len(items) == given.limit:
            return TaskPage(items, f"{seen['tasks']}.{seen['work']}")
    return TaskPage(items, None)


def _page(before: str) -> dict[str, int]:
    """Where each of the two tables goes on."""
    tasks, _, work = before.partition(".")
    require(not before or (tasks and work), f"{before[:40]!r} is no page: take `next` of the page before", INVALID)
    return {"tasks": row_before(tasks), "work": row_before(work)}


def _scan(call: Call, table: str, where: RowFilter, start: dict[str, int]) -> Iterator[tuple[str, int, TaskView]]:
    """Tasks of one table, newest first. A task that is in both is told by its run."""
    store, before = call.coordinator.store, start[table]
    if table == "tasks" and where.owner:
        return
    for _ in range(SCAN_PAGES):
        rows = store.rows(table, replace(where, before=before))
        for key, row in rows:
            before = row.order
            if table == "tasks":
                yield table, before, _told(key, row, store.row("work", key))
            elif from_json(row.record, Kind).kind == "task":
                run = store.row("tasks", key)
                if where.owner or run is None:
                    yield table, before, _told(key, run, row)
        if len(rows) < where.limit:
            return


def _fits(view: TaskView, given: TaskQuery) -> bool:
    text = given.q.lower()
    return (not given.tag or given.tag in view.tags) and (
        not text or text in view.name.lower() or view.id.startswith(text) or text in view.reason.lower()
    )


async def update_task(call: Call, given: TaskChange) -> TaskView:
    """Change a task's title, assignee, tags, status or fields; what runs on nodes is not changed."""
    view = find_task(call, given.id)
    if call.repeated:
        return view
    require(given.title is UNSET or is_clean(given.title), "the title has control characters")
    subject = parse_id(given.id, UUID_BYTES, "task id")
    _check_tags([*(() if given.tags is UNSET else given.tags), *given.add_tags])
    wishes: list[Wish] = []
    if call.coordinator.store.row("work", subject) is None:
        wishes.append(Wish("create", subject, ("task", view.name, b"")))
    for name in ("title", "description", "assignee", "priority"):
        value = getattr(given, name)
        wishes += [] if value is UNSET else [Wish("set", subject, (name, value))]
    if given.status is not UNSET:
        require(not view.executor, "the status of a task that runs on nodes is theirs to say", CONFLICT)
        wishes.append(Wish("set", subject, ("status", _state(given.status))))
    if given.parent is not UNSET:
        wishes.append(Wish("move", subject, (parse_id(given.parent, UUID_BYTES, "parent") if given.parent else b"",)))
    wanted = set(view.tags if given.tags is UNSET else given.tags) | set(given.add_tags)
    wanted -= set(given.remove_tags)
    wishes += [Wish("add", subject, ("tags", tag)) for tag in sorted(wanted - set(view.tags))]
    wishes += [Wish("remove", subject, ("tags", tag)) for tag in sorted(set(view.tags) - wanted)]
    wishes += [Wish("set", subject, (name, value)) for name, value in given.fields.items()]
    require(wishes, "nothing to change was given", INVALID)
    await call.ask(WriteWork(tuple(wishes)))
    return find_task(call, given.id)


async def cancel_task(call: Call, given: TaskRef) -> TaskView:
    """Cancel a task."""
    view = find_task(call, given.id)
    if call.repeated:
        return view
    require(view.state not in TERMINAL, f"the task is {view.state} already", CONFLICT)
    reason = f"cancelled by {call.principal.name}"
    if view.executor:
        await call.ask(Cancel(parse_id(view.job, UUID_BYTES), parse_id(view.id, UUID_BYTES), reason))
    else:
        subject = parse_id(view.id, UUID_BYTES)
        await call.ask(WriteWork((Wish("set", subject, ("status", "cancelled")),)))
    return find_task(call, given.id)


async def delete_task(call: Call, given: TaskRef) -> TaskCreated:
    """Cancel a task and take it out of the tree."""
    key = parse_id(given.id, UUID_BYTES, "task id")
    view = None if call.repeated and call.coordinator.store.row("tasks", key) is None else find_task(call, given.id)
    await call.ask(Delete(key, f"deleted by {call.principal.name}"))
    if view is None or not view.executor:
        return TaskCreated(key.hex(), key.hex(), "", "cancelled")
    view = find_task(call, given.id)
    return TaskCreated(view.id, view.id, view.job, view.state)


async def task_results(call: Call, given: TaskRef) -> TaskResults:
    """What each node answered, who agreed, and the agreed output."""
    view = find_task(call, given.id)
    output: str | None = None
    if view.output and view.state == TaskState.COMPLETED:
        data = await call.blob(bytes.fromhex(view.output), OUTPUT_SHOWN_BYTES + 1)
        if len(data) <= OUTPUT_SHOWN_BYTES:
            try:
                output = data.decode()
            except UnicodeDecodeError:
                output = None
    return TaskResults(view.id, view.state, _answers(view), view.output, output, view.reason)


def _answers(view: TaskView) -> list[ResultView]:
    return [
        ResultView(
            a.node, a.slot, a.epoch, a.code, a.output, a.node in view.agreed and bool(a.output), a.reason, a.usage
        )
        for a in view.attempts
        if a.code is not None
    ]


async def task_receipt(call: Call, given: TaskRef) -> TaskReceipt:
    """The receipt of a completed task: check it offline with `quorate receipt verify`."""
    return await receipt_of(call, call.task(given.id))


OPERATIONS = (
    Operation(
        "task_create",
        TaskNew,
        TaskCreated,
        "task:create",
        True,
        create_task,
        ("POST", "/tasks"),
        ("task_create",),
        "task create",
        (("POST", "/api/tasks"),),
        201,
    ),
    Operation(
        "task_list",
        TaskQuery,
        TaskPage,
        "task:read",
        True,
        list_tasks,
        ("GET", "/tasks"),
        ("task_list",),
        "tasks",
        (("GET", "/api/tasks"),),
    ),
    Operation(
        "task_get",
        TaskRef,
        TaskDetail,
        "task:read",
        True,
        get_task,
        ("GET", "/tasks/{id}"),
        ("task_get",),
        "task show",
        (("GET", "/api/tasks/{id}"),),
    ),
    Operation(
        "task_update",
        TaskChange,
        TaskView,
        "task:update",
        True,
        update_task,
        ("PUT", "/tasks/{id}"),
        ("task_update",),
        None,
        (("PUT", "/api/tasks/{id}"),),
    ),
    Operation(
        "task_cancel",
        TaskRef,
        TaskView,
        "task:cancel",
        True,
        cancel_task,
        ("DELETE", "/tasks/{id}"),
        ("task_cancel",),
        "cancel",
        (("POST", "/api/v1/tasks/{id}/cancel"),),
    ),
    Operation(
        "task_delete",
        TaskRef,
        TaskCreated,
        "task:cancel",
        True,
        delete_task,
        ("DELETE", "/api/tasks/{id}"),
        ("task_delete",),
        None,
    ),
    Operation(
        "task_results",
        TaskRef,
        TaskResults,
        "task:read",
        True,
        task_results,
        ("GET", "/tasks/{id}/results"),
        ("task_results",),
        None,
    ),
    Operation(
        "task_receipt",
        TaskRef,
        TaskReceipt,
        "task:read",
        True,
        task_receipt,
        ("GET", "/tasks/{id}/receipt"),
        ("task_receipt",),
        "receipt get",
    ),
)
