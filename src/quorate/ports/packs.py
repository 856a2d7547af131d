"""The pack API: how a domain adds itself. Ours register as a stranger's would (entry point `quorate.packs`)."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from quorate.model import Context, Operation, Result, TaskSpec
from quorate.model.views import EventView
from quorate.ports.execution import Executor

PACK_API = 1


@dataclass(frozen=True, slots=True)
class Kind:
    """An event kind of a pack, called `<pack>.<something>`; its body is a msgspec Struct.

    `fold(state, body) -> state` is pure and returns a new state: the one it was given may still be read.
    `authority_only`: nobody but the coordinator writes it (its operations do); others cannot hand one in.
    """

    name: str
    body: type[Any]
    fold: Callable[[Any, Any], Any]
    initial: Callable[[], Any]
    authority_only: bool = False


class Validator(Protocol):
    """Groups comparable results: two outputs agree when their keys are equal. May refuse one with `QuorateError`."""

    name: str

    def key(self, spec: TaskSpec, result: Result) -> bytes: ...


class ServiceContext(Context, Protocol):
    """What a service sees: as an operation does, under the authority's own grant; and the event stream."""

    def follow(self, after: int) -> AsyncIterator[EventView]:
        """Every committed event after a position, without end. Raises 2000 when the coordinator reloads."""


class Service(Protocol):
    """Runs beside the coordinator, and is started again when it fails. It resumes from what its kind's state says."""

    name: str

    async def run(self, context: ServiceContext) -> None: ...


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel of the dashboard: a title and the operation whose JSON (`items`) it shows as a table."""

    name: str
    title: str
    operation: str


@dataclass(frozen=True, slots=True)
class Pack:
    """A domain. Names are its own: none may be taken from Quorate or from another pack."""

    name: str
    api: int = PACK_API
    kinds: tuple[Kind, ...] = ()
    operations: tuple[Operation[Any, Any], ...] = ()
    executors: tuple[Executor, ...] = ()
    validators: tuple[Validator, ...] = ()
    services: tuple[Service, ...] = ()
    panels: tuple[Panel, ...] = ()


PackFactory = Callable[[], Pack]
