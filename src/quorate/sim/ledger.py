"""The log of a finished run, read as an auditor would: nothing of the code under test but the types.

Invariants of what it reads are not assumed: `faults` says where chain, body, clock or signature break.
"""

from dataclasses import dataclass, field

from msgspec import Struct

from quorate.base.codec import unpack
from quorate.base.errors import QuorateError
from quorate.base.ids import NO_ID, hash_id
from quorate.base.signing import EVENT
from quorate.model import (
    KINDS,
    Event,
    Id,
    JobCancelled,
    JobSubmitted,
    Lease,
    LeasesGranted,
    NodeJoined,
    Result,
    ResultsReceived,
    Sealed,
    TaskSettled,
    TaskSpec,
)
from quorate.sim.crypto import oracle_verify


@dataclass(slots=True)
class Ledger:
    """What the log says, by kind. Positions start at 1: `ids[0]` is at position 1."""

    ids: list[Id] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    bodies: list[Struct] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    submitted: list[JobSubmitted] = field(default_factory=list)
    cancelled: list[JobCancelled] = field(default_factory=list)
    settled: list[TaskSettled] = field(default_factory=list)
    answered: list[Result] = field(default_factory=list)
    leases: dict[tuple[bytes, int, int], Lease] = field(default_factory=dict)
    nodes: set[bytes] = field(default_factory=set)

    def specs(self) -> dict[bytes, TaskSpec]:
        return {spec.id: spec for job in self.submitted for spec in job.tasks}

    def roots(self) -> list[Id]:
        """The tree's root at every size from 0, by the definition of RFC 6962 section 2.1."""
        roots = [hash_id(b"")]
        peaks: list[tuple[int, Id]] = []  # complete subtrees from the left: (leaves, root)
        for id in self.ids:
            peak = (1, hash_id(b"\x00" + id))
            while peaks and peaks[-1][0] == peak[0]:
                leaves, left = peaks.pop()
                peak = (2 * leaves, hash_id(b"\x01" + left + peak[1]))
            peaks.append(peak)
            root = peak[1]
            for _, left in reversed(peaks[:-1]):
                root = hash_id(b"\x01" + left + root)
            roots.append(root)
        return roots


def read_ledger(log: list[Sealed]) -> Ledger:
    """Read the whole log; go on after a fault, so that all are named."""
    ledger = Ledger()
    last: dict[bytes, tuple[int, Id, int]] = {}
    unsigned: dict[bytes, list[int]] = {}
    for position, sealed in enumerate(log, 1):
        id = hash_id(sealed.head)
        event = unpack(sealed.head, Event)
        body = sealed.body or b""
        seq, prev, hlc = last.get(event.actor, (0, NO_ID, 0))
        for holds, what in (
            (event.seq == seq + 1 and event.prev == prev, "its chain breaks"),
            (event.hlc > hlc, "its clock does not rise"),
            (hash_id(sealed.salt + body) == event.body_hash, "its body is another"),
            (not ledger.events or event.realm == ledger.events[0].realm, "it is of another realm"),
        ):
            if not holds:
                ledger.faults.append(f"log position {position} ({event.kind}): {what}")
        last[event.actor] = (event.seq, id, event.hlc)
        unsigned.setdefault(event.actor, []).append(position)
        if sealed.sig is not None:
            if oracle_verify(event.actor, EVENT + id, sealed.sig):
                unsigned[event.actor].clear()
            else:
                ledger.faults.append(f"log position {position}: its signature does not hold")
        ledger.ids.append(id)
        ledger.events.append(event)
        _file(ledger, position, event, body)
    ledger.faults += [f"log position {at[0]}: no signature covers it" for at in unsigned.values() if at]
    return ledger


def _file(ledger: Ledger, position: int, event: Event, packed: bytes) -> None:
    try:
        body = unpack(packed, KINDS[event.kind][0])
    except (QuorateError, KeyError) as error:
        ledger.faults.append(f"log position {position}: {event.kind} is not readable: {error}")
        return
    ledger.bodies.append(body)
    match body:
        case JobSubmitted():
            ledger.submitted.append(body)
        case JobCancelled():
            ledger.cancelled.append(body)
        case TaskSettled():
            ledger.settled.append(body)
        case ResultsReceived():
            ledger.answered += body.results
        case NodeJoined():
            ledger.nodes.add(body.node)
        case LeasesGranted():
            for lease in body.leases:
                key = (lease.task, lease.slot, lease.epoch)
                if key in ledger.leases:
                    ledger.faults.append(f"log position {position}: a lease was given twice")
                ledger.leases[key] = lease
