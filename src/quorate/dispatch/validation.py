"""When a task's results agree. Knows votes, not nodes' reputations, leases or time.

A validator gives each successful result a key; results with equal keys agree. A validator may raise
`QuorateError` for an output that cannot be right: that result is a failed attempt with the error's code.
Invariants: V1 an accepted group is the unique largest. V2 it has at least the asked quorum of distinct
nodes, and outnumbers the next group by it, unless nobody is left to ask: then a strict majority.
"""

from collections.abc import Callable, Mapping

from quorate.base.errors import EXECUTION, FAULTS, OK, UNSUPPORTED, QuorateError
from quorate.base.limits import ATTEMPT_REASON_MAX_CHARS
from quorate.dispatch.runs import group_sizes
from quorate.model import Result, TaskSpec

Validate = Callable[[TaskSpec, Result], bytes]


def exact(spec: TaskSpec, result: Result) -> bytes:
    """Results agree when their outputs are the same bytes."""
    return result.output


VALIDATORS: Mapping[str, Validate] = {"exact": exact}
"""The validators that Quorate brings along; packs add theirs."""


def weigh(validators: Mapping[str, Validate], spec: TaskSpec, result: Result, words: str) -> tuple[int, bytes, str]:
    """(0, the vote's key, "") of a result, or (the failure's code, nothing, why).

    Raises 1008 when the task's validator is not installed (a log folded without the pack that wrote it).
    """
    if result.code != OK:
        code = result.code if result.code in FAULTS else EXECUTION
        return code, b"", words[-ATTEMPT_REASON_MAX_CHARS:] or FAULTS[code].description
    validate = validators.get(spec.validator)
    if validate is None:
        raise QuorateError(UNSUPPORTED, f"validator {spec.validator!r} is not installed")
    try:
        return OK, validate(spec, result), ""
    except QuorateError as error:
        return error.code, b"", error.message[-ATTEMPT_REASON_MAX_CHARS:]


def agreement(votes: dict[bytes, bytes], quorum: int, last_call: bool = False) -> tuple[bytes, int] | None:
    """(the accepted key, the quorum it had to reach), or None.

    Each vote for the second group raises the quorum by one. `last_call`: nobody is left to ask, so the
    asked quorum will do for a strict majority.
    """
    if len(votes) == 1 and quorum == 1:
        return next(iter(votes.values())), 1
    sizes = sorted(((size, key) for key, size in group_sizes(votes).items()), reverse=True)
    if not sizes:
        return None
    top, key = sizes[0]
    raised = quorum + (sizes[1][0] if len(sizes) > 1 else 0)
    if top >= raised:
        return key, raised
    if last_call and top >= quorum and 2 * top > len(votes):
        return key, quorum
    return None
