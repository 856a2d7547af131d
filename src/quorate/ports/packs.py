"""The pack API: how a domain adds itself. Ours register as a stranger's would (entry point `quorate.packs`)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from quorate.model import Operation, Result, TaskSpec
from quorate.ports.execution import Executor

PACK_API = 1


@dataclass(frozen=True, slots=True)
class Kind:
    """An event kind of a pack. `fold(state, body) -> state`, pure; `authority_only`: users cannot write it directly."""

    name: str
    body: type[Any]
    fold: Callable[[Any, Any], Any]
    initial: Callable[[], Any]
    authority_only: bool = False


class Validator(Protocol):
    """Groups comparable results: two outputs agree when their keys are equal."""

    name: str

    def key(self, spec: TaskSpec, result: Result) -> bytes: ...


class Service(Protocol):
    """Runs beside the coordinator."""

    name: str

    async def run(self, context: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel of the dashboard: a title and the operation whose JSON it shows as a table."""

    name: str
    title: str
    operation: str


@dataclass(frozen=True, slots=True)
class Pack:
    name: str
    api: int = PACK_API
    kinds: tuple[Kind, ...] = ()
    operations: tuple[Operation[Any, Any], ...] = ()
    executors: tuple[Executor, ...] = ()
    validators: tuple[Validator, ...] = ()
    services: tuple[Service, ...] = ()
    panels: tuple[Panel, ...] = ()


PackFactory = Callable[[], Pack]
Starter = Callable[[Any], Awaitable[None]]
