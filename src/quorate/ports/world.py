"""Clock, entropy, wire, and the shape of a core."""

from collections.abc import AsyncIterator
from typing import Protocol, TypeVar

from quorate.model import Effect, Envelope

In = TypeVar("In", contravariant=True)


class Clock(Protocol):
    def now(self) -> int:
        """Wall clock, nanoseconds since the epoch."""


class Entropy(Protocol):
    def bytes(self, size: int) -> bytes:
        """`size` unpredictable bytes (predictable in the simulator)."""


class Wire(Protocol):
    """Messages between this process and its peers. A peer is a link id: 16 bytes, new for each connection.

    A `LINK_OPENED` envelope (payload: 64 bytes of entropy) comes first from each link, `LINK_CLOSED` last.
    """

    async def send(self, peer: bytes, message: Envelope) -> None:
        """Queue a message; awaiting it is the backpressure. A link that is gone swallows it."""

    def receive(self) -> AsyncIterator[tuple[bytes, Envelope]]:
        """All messages of all links. Frames are not yet checked: `payload` of a remote one is the whole frame."""

    async def close(self, peer: bytes, reason: str) -> None:
        """End a link; what was sent before is still delivered if it can be."""


class Core(Protocol[In]):
    """A sans-IO state machine."""

    def step(self, event: In, now: int) -> tuple[Effect, ...]: ...

    def deadline(self) -> int | None:
        """When the driver feeds a tick, nanoseconds; None: not by itself."""

    def snapshot(self) -> bytes:
        """Equal state, equal bytes."""
