"""Errors: whose fault it is, a code, and what to do about it.

A user's fault is a `QuorateError`, a peer's a `ProtocolError`, ours an `InvariantBroken` that
crashes. The table below is the only place where a code gets its name, HTTP status and advice.
Codes 1000-4000 follow the agent-framework document, 1005-1008 and 4001-4005 extend it.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the error table."""

    code: int
    name: str
    http: int
    description: str
    recovery: str


OK: Final = 0
NOT_FOUND: Final = 1000
TIMEOUT: Final = 1001
INVALID: Final = 1002
UNAUTHENTICATED: Final = 1003
RATE_LIMITED: Final = 1004
DENIED: Final = 1005
CONFLICT: Final = 1006
TOO_LARGE: Final = 1007
UNSUPPORTED: Final = 1008
DATABASE: Final = 2000
QUERY_TIMEOUT: Final = 2001
PROTOCOL: Final = 3000
IPC: Final = 3001
ORCHESTRATION: Final = 4000
EXECUTION: Final = 4001
LEASE_LOST: Final = 4002
NO_QUORUM: Final = 4003
CANCELLED: Final = 4004
DEPENDENCY: Final = 4005

_ROWS = (
    Fault(NOT_FOUND, "not_found", 404, "Agent, task, node or other thing not found", "Check the name or id"),
    Fault(TIMEOUT, "timeout", 504, "Agent or task timed out", "Retry with backoff, or raise the timeout"),
    Fault(INVALID, "invalid", 400, "Invalid message", "Check the format; the message names the field"),
    Fault(UNAUTHENTICATED, "unauthenticated", 401, "Authentication failed", "Send a valid token, or get a fresh one"),
    Fault(RATE_LIMITED, "rate_limited", 429, "Rate limited", "Wait as Retry-After says and retry"),
    Fault(DENIED, "denied", 403, "Permission denied", "Use a token or grant that has the right named"),
    Fault(CONFLICT, "conflict", 409, "Conflicts with the present state", "Read the present state and decide again"),
    Fault(TOO_LARGE, "too_large", 413, "Larger than the limit allows", "Split it, or send it as a blob"),
    Fault(UNSUPPORTED, "unsupported", 422, "Unsupported by this swarm", "See `quorate nodes` for what is offered"),
    Fault(DATABASE, "database", 503, "Database error", "Check the disk and the data directory, then retry"),
    Fault(QUERY_TIMEOUT, "query_timeout", 504, "Query timed out", "Narrow the query"),
    Fault(PROTOCOL, "protocol", 400, "Binary protocol error", "Reconnect; update whichever side is older"),
    Fault(IPC, "ipc", 502, "Connection between processes failed", "Check that the coordinator runs and the address"),
    Fault(ORCHESTRATION, "orchestration", 422, "Orchestration error", "Check the job: its tasks, deps and quorum"),
    Fault(EXECUTION, "execution", 422, "The task's own program failed", "Read the attempt's log and exit code"),
    Fault(LEASE_LOST, "lease_lost", 409, "The node lost its lease", "Nothing: the task is leased again"),
    Fault(NO_QUORUM, "no_quorum", 422, "No quorum of nodes agreed on a result", "Raise replicas, or see who differed"),
    Fault(CANCELLED, "cancelled", 409, "The task was cancelled", "Submit it again if it is still wanted"),
    Fault(DEPENDENCY, "dependency", 424, "A task that this one depends on failed", "Mend the failed task first"),
)
FAULTS: Final[dict[int, Fault]] = {row.code: row for row in _ROWS}


class QuorateError(Exception):
    """An error that a user can do something about. `code` is a key of `FAULTS`."""

    def __init__(self, code: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint or FAULTS[code].recovery

    @property
    def fault(self) -> Fault:
        return FAULTS[self.code]

    def __str__(self) -> str:
        return f"[{self.code} {self.fault.name}] {self.message} -> {self.hint}"


class ProtocolError(QuorateError):
    """A peer's fault: it sent what the protocol does not allow."""


class TemporaryError(QuorateError):
    """May pass by itself: retry with backoff."""


class PermanentError(QuorateError):
    """Will not pass by itself: do not retry."""


class MaxRetriesExceeded(QuorateError):
    """Every retry was used up. `__cause__` is the last error."""


class InvariantBroken(AssertionError):
    """Our fault. The process must not go on with the state it has."""


def require(holds: object, what: str, code: int = INVALID) -> None:
    """Raise `QuorateError` unless `holds`: the caller's fault."""
    if not holds:
        raise QuorateError(code, what)


def demand(holds: object, what: str, code: int = PROTOCOL) -> None:
    """Raise `ProtocolError` unless `holds`: a peer's fault."""
    if not holds:
        raise ProtocolError(code, what)


def invariant(holds: object, what: str) -> None:
    """Crash unless `holds`: our fault. Always on, also under `python -O`."""
    if not holds:
        raise InvariantBroken(what)
