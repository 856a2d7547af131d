"""What goes into a node's machine, and the effects that only it has."""

from msgspec import Struct

from quorate.model import Id, Lease
from quorate.model.link import Answer, Assignment
from quorate.services.links import Arrived, LinkClosed, LinkOpened, Ticked


class Finished(Struct, frozen=True):
    """An executor came to its end."""

    answer: Answer
    data: bytes


class Wanted(Struct, frozen=True):
    """A task wants a blob; answered by `Reply(call)`."""

    call: int
    id: Id


class Drained(Struct, frozen=True):
    """Take nothing new. `now_back`: hand back what still runs."""

    reason: str
    now_back: bool = False


class Closing(Struct, frozen=True):
    """All that is there was fed: send what is ready."""


class Start(Struct, frozen=True):
    """Effect: run this."""

    assignment: Assignment


class Refusal(Struct, frozen=True):
    """Effect: the coordinator refuses this node for good."""

    code: int
    message: str


Event = LinkOpened | LinkClosed | Arrived | Finished | Wanted | Drained | Ticked | Closing
LeaseKey = tuple[bytes, int, int]


def key_of(lease: Lease) -> LeaseKey:
    return lease.task, lease.slot, lease.epoch
