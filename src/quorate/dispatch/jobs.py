"""What a job must be before it is accepted, and how it is cut into events.

Knows limits and the validators there are; not which executors: a node that has one may join later.
Invariants: G1 the tasks of an accepted job form a DAG within the job. G2 every event of it is below
`EVENT_BODY_MAX_BYTES`, all of them fit in one group commit.
"""

from collections.abc import Container, Sequence
from itertools import pairwise

from quorate.base.codec import pack
from quorate.base.errors import INVALID, ORCHESTRATION, TOO_LARGE, UNSUPPORTED, QuorateError, require
from quorate.base.ids import HASH_BYTES, UUID_BYTES
from quorate.base.limits import (
    EVENT_BODY_MAX_BYTES,
    IDEMPOTENCY_KEY_MAX_CHARS,
    JOB_CHUNK_TASKS,
    JOB_MAX_BYTES,
    JOB_TASKS_MAX,
    KIB,
    NAME_MAX_CHARS,
    REPLICAS_MAX,
    RETRIES_MAX,
    TASK_DEPS_MAX,
    TASK_NEEDS_MAX,
    TIMEOUT_MAX_MS,
    TIMEOUT_MIN_MS,
)
from quorate.base.names import is_clean
from quorate.model import JobSubmitted, TaskSpec

CHUNK_BYTES = EVENT_BODY_MAX_BYTES - 8 * KIB
"""Room for tasks and names in an event beside the job's own fields."""
TASK_NAME_OVERHEAD = 8


def check_name(name: str, what: str, may_be_empty: bool = False) -> None:
    """Raise 1002 for a name that is too long, or has characters that terminals and databases choke on."""
    if not name and not may_be_empty:
        raise QuorateError(INVALID, f"{what} is empty")
    if len(name) > NAME_MAX_CHARS:
        raise QuorateError(INVALID, f"{what} has {len(name)} characters, at most {NAME_MAX_CHARS}")
    if not is_clean(name):
        raise QuorateError(INVALID, f"{what} {name!r} has control characters")


def check_job(
    job: bytes, name: str, tasks: Sequence[TaskSpec], names: Sequence[str], validators: Container[str]
) -> None:
    """Raise a coded error unless these tasks make a job."""
    require(len(job) == UUID_BYTES, f"a job's id has {UUID_BYTES} bytes")
    check_name(name, "the job's name", may_be_empty=True)
    require(tasks, "a job needs at least one task")
    require(len(tasks) <= JOB_TASKS_MAX, f"{len(tasks)} tasks, at most {JOB_TASKS_MAX} in a job", TOO_LARGE)
    require(len(names) == len(tasks), f"{len(names)} names for {len(tasks)} tasks")
    for spec, task_name in zip(tasks, names, strict=True):
        check_name(task_name, "a task's name", may_be_empty=True)
        try:
            _check_task(spec, validators)
        except QuorateError as error:
            raise QuorateError(error.code, f"{task_name or spec.id.hex()}: {error.message}") from None
    _check_graph(tasks, names)


def _check_task(spec: TaskSpec, validators: Container[str]) -> None:
    require(len(spec.id) == UUID_BYTES, "a task's id has 16 bytes")
    require(len(spec.input) == HASH_BYTES, "`input` is the id of a blob, 32 bytes")
    check_name(spec.executor, "the executor")
    _check_range(len(spec.needs), 0, TASK_NEEDS_MAX, "the number of needs")
    for need in spec.needs:
        check_name(need, "a need")
    _check_range(spec.replicas, 1, REPLICAS_MAX, "replicas")
    _check_range(spec.quorum, 1, REPLICAS_MAX, "quorum")
    _check_range(spec.retries, 0, RETRIES_MAX, "retries")
    _check_range(spec.timeout_ms, TIMEOUT_MIN_MS, TIMEOUT_MAX_MS, "timeout in ms")
    _check_range(spec.budget, 0, 2**63 - 1, "budget")
    require(spec.quorum <= spec.replicas, "the quorum is larger than the number of replicas", ORCHESTRATION)
    if spec.validator not in validators:
        raise QuorateError(UNSUPPORTED, f"unknown validator {spec.validator[:80]!r}")
    _check_range(len(spec.idem), 0, IDEMPOTENCY_KEY_MAX_CHARS, "the length of the idempotency key")
    check_name(spec.idem, "the idempotency key", may_be_empty=True)
    _check_range(len(spec.deps), 0, TASK_DEPS_MAX, "the number of deps")


def _check_range(value: int, low: int, high: int, what: str) -> None:
    if not low <= value <= high:
        raise QuorateError(INVALID, f"{what} is {value}, allowed is {low} to {high}")


def _check_graph(tasks: Sequence[TaskSpec], names: Sequence[str]) -> None:
    """No duplicates, no unknown deps, no circles (Kahn's algorithm; what it cannot reach has one)."""
    label = {spec.id: name or spec.id.hex() for spec, name in zip(tasks, names, strict=True)}
    require(len(label) == len(tasks), "two tasks have the same id", ORCHESTRATION)
    waits: dict[bytes, int] = {}
    dependents: dict[bytes, list[bytes]] = {}
    for spec in tasks:
        waits[spec.id] = len(spec.deps)
        if not spec.deps:
            continue
        who = label[spec.id]
        require(len(frozenset(spec.deps)) == len(spec.deps), f"{who}: a dep is named twice", ORCHESTRATION)
        for dep in spec.deps:
            if dep not in label:
                raise QuorateError(ORCHESTRATION, f"{who} depends on {dep.hex()}, not a task of this job")
            dependents.setdefault(dep, []).append(spec.id)
    free = [spec.id for spec in tasks if not spec.deps]
    for task in free:
        for dependent in dependents.get(task, ()):
            waits[dependent] -= 1
            if not waits[dependent]:
                free.append(dependent)
    if len(free) < len(tasks):
        circle = " -> ".join(label[task] for task in _circle(tasks, waits))
        raise QuorateError(ORCHESTRATION, f"circular deps: {circle[:2000]}")


def _circle(tasks: Sequence[TaskSpec], waits: dict[bytes, int]) -> list[bytes]:
    """One circle among the tasks that still wait, its first task again at the end."""
    deps = {spec.id: spec.deps for spec in tasks if waits[spec.id]}
    task = next(iter(deps))
    seen: dict[bytes, int] = {}
    trail: list[bytes] = []
    while task not in seen:
        seen[task] = len(trail)
        trail.append(task)
        task = next(dep for dep in deps[task] if dep in deps)
    return [*trail[seen[task] :], task]


def cut(
    job: bytes, name: str, tasks: Sequence[TaskSpec], names: Sequence[str], idem: str, owner: str
) -> tuple[JobSubmitted, ...]:
    """The job as events, each within the limits of one. Raises 1007 when the job is too large altogether."""
    bounds = [0]
    chunk_bytes = total_bytes = 0
    for index, (spec, task_name) in enumerate(zip(tasks, names, strict=True)):
        size = len(pack(spec)) + len(task_name.encode()) + TASK_NAME_OVERHEAD
        if size > CHUNK_BYTES:
            raise QuorateError(TOO_LARGE, f"{task_name or spec.id.hex()}: {size} bytes, at most {CHUNK_BYTES}")
        total_bytes += size
        if chunk_bytes + size > CHUNK_BYTES or index - bounds[-1] == JOB_CHUNK_TASKS:
            bounds.append(index)
            chunk_bytes = 0
        chunk_bytes += size
    require(total_bytes <= JOB_MAX_BYTES, f"a job of {total_bytes} bytes, at most {JOB_MAX_BYTES}", TOO_LARGE)
    bounds.append(len(tasks))
    return tuple(
        JobSubmitted(job, name, len(tasks), first, tuple(tasks[first:end]), tuple(names[first:end]), idem, owner)
        for first, end in pairwise(bounds)
    )
