"""What the read model holds and the edges show. Keys of JSON are camelCase; ids are hexadecimal text."""

from typing import Any

from msgspec import Struct


class View(Struct, frozen=True, rename="camel", omit_defaults=False):
    """Base of everything that leaves through an edge."""


class AttemptView(View, frozen=True):
    """One lease of a task. `code` None: it runs. `output`: what the node answered; `usage`: wall ms, CPU ms, peak KiB,
    bytes out, as the node says."""

    slot: int
    epoch: int
    node: str
    started_ms: int
    ended_ms: int | None
    code: int | None
    reason: str
    output: str = ""
    usage: tuple[int, ...] = ()


class TaskView(View, frozen=True):
    """A task, of a job or of the work tree. `reason` says why a terminal task ended as it did;
    `submitted_at` and `settled_at` are positions in the log (0: not there)."""

    id: str
    job: str
    name: str
    state: str
    executor: str
    deps: tuple[str, ...]
    replicas: int
    quorum: int
    validator: str
    created_ms: int
    started_ms: int | None
    ended_ms: int | None
    code: int
    reason: str
    input: str
    output: str
    attempts: tuple[AttemptView, ...]
    agreed: tuple[str, ...]
    dissent: tuple[str, ...]
    settled_at: int
    submitted_at: int = 0
    kind: str = "task"
    parent: str = ""
    assignee: str = ""
    tags: tuple[str, ...] = ()
    fields: dict[str, Any] = {}


class WorkView(View, frozen=True):
    """A node of the work tree that is no task. `fields`: registers, sets and counters by name."""

    id: str
    kind: str
    title: str
    parent: str
    state: str
    assignee: str
    tags: tuple[str, ...]
    fields: dict[str, Any]
    provisional: bool
    created_ms: int
    updated_ms: int


class JobView(View, frozen=True):
    id: str
    name: str
    state: str
    total: int
    queued: int
    running: int
    completed: int
    failed: int
    cancelled: int
    created_ms: int
    ended_ms: int | None
    owner: str


class NodeView(View, frozen=True):
    """`reputation` is the mean of a beta posterior, 0-1; `evidence` its counts (agreed, dissented, failed)."""

    id: str
    name: str
    state: str
    capabilities: tuple[str, ...]
    slots: int
    running: int
    reputation: float
    evidence: tuple[int, int, int]
    last_seen_ms: int
    joined_ms: int


class EventView(View, frozen=True):
    """`cursor` is what `since=` and `Last-Event-ID` resume on; `hlc` is text, it exceeds 2**53."""

    cursor: str
    position: int
    id: str
    kind: str
    subject: str
    actor: str
    seq: int
    hlc: str
    grant: str
    at_ms: int
    body: Any


class ErrorView(View, frozen=True):
    code: int
    name: str
    message: str
    what_to_do: str
    request_id: str = ""
