"""What calls return beside the views of `quorate.model.views`."""

from typing import Any, Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """Some of many; `next` asks for those after, None: there are no more."""

    items: tuple[T, ...]
    next: str | None = None


class Submitted(Struct, frozen=True, rename="camel"):
    """A job that is on disk. `tasks` maps names to ids; `position` is its place in the log."""

    job_id: str
    status: str
    total: int
    tasks: dict[str, str]
    position: int


class Created(Struct, frozen=True, rename="camel"):
    id: str
    task_id: str
    job_id: str
    status: str
    assigned_nodes: tuple[str, ...] = ()


class Answered(Struct, frozen=True, rename="camel"):
    node: str
    slot: int
    epoch: int
    code: int
    output: str
    agreed: bool
    reason: str
    usage: tuple[int, ...] = ()


class Results(Struct, frozen=True, rename="camel"):
    """`output` is short text, or None; its bytes are blob `output_blob`."""

    task_id: str
    status: str
    results: tuple[Answered, ...]
    output_blob: str
    output: str | None
    reason: str


class Agent(Struct, frozen=True, rename="camel"):
    id: str
    uuid: str
    name: str
    type: str
    status: str
    capabilities: tuple[str, ...]
    tools: tuple[str, ...]
    metadata: dict[str, Any]
    created_ms: int


class Emitted(Struct, frozen=True, rename="camel"):
    """The receipt of an event."""

    log: str
    epoch: int
    position: int
    event: str
    code: int
    cursor: str
