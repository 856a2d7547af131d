"""The operation: a thing one can ask for, declared once. Every door, the docs and the role matrix derive from it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from quorate.model.events import Id
from quorate.model.views import TaskView

I = TypeVar("I")
O = TypeVar("O")

Right = str
"""A permission as the sources write them: `task:create`, `system:configure`, …; `public` needs no token."""


class Principal(Struct, frozen=True):
    """Who asks: the grant that says so, its role and rights. `name` is the grant's label."""

    grant: Id
    role: str
    rights: frozenset[str]
    name: str
    key: bytes = b""


class Context(Protocol):
    """What an operation sees of the coordinator that runs it."""

    @property
    def principal(self) -> Principal: ...

    @property
    def now(self) -> int:
        """Wall clock in nanoseconds."""

    async def ask(self, command: Any) -> bytes:
        """Have the machine carry out a command; the packed reply once it is on disk. Raises `QuorateError`."""

    async def state(self, kind: str) -> Any:
        """What a pack's event kind has been folded to, once all of it is on disk. Raises 1008."""

    def task(self, id: str) -> TaskView:
        """A task that was run. Raises 1000."""

    async def blob(self, id: Id, limit: int) -> bytes:
        """A whole blob of at most `limit` bytes. Raises 1000, 1007."""

    async def append(self, kind: str, subject: bytes, body: Any, deps: tuple[Id, ...] = ()) -> Id:
        """Write one event under the caller's grant; its id once it is on disk."""


@dataclass(frozen=True, slots=True)
class Operation(Generic[I, O]):
    """`rest` is (method, path below /api/v1, or an absolute path); `mcp` tool names; `cli` the command."""

    name: str
    input: type[I]
    output: type[O]
    right: Right
    idempotent: bool
    run: Callable[[Any, I], Awaitable[O]]
    rest: tuple[str, str] | None = None
    mcp: tuple[str, ...] = ()
    cli: str | None = None
    aliases: tuple[tuple[str, str], ...] = field(default=())
    status: int = 200
    raw_in: bool = False
    raw_out: bool = False

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.run.__doc__ or self.name).strip().splitlines()[0]


@dataclass(frozen=True, slots=True)
class Raw:
    """A body of bytes, in or out: `size` -1 when it is not known before."""

    stream: AsyncIterator[bytes]
    size: int = -1
    media: str = "application/octet-stream"
    id: str = ""
