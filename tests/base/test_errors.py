"""The table of errors: every code has a row, and each of the three guards blames the right side."""

import subprocess
import sys

import pytest

from quorate.base import errors
from quorate.base.errors import (
    FAULTS,
    InvariantBroken,
    MaxRetriesExceeded,
    PermanentError,
    ProtocolError,
    QuorateError,
    TemporaryError,
    demand,
    invariant,
    require,
)

CODES = {name: code for name, code in vars(errors).items() if name.isupper() and type(code) is int}
SOURCES = {1000, 1001, 1002, 1003, 1004, 2000, 2001, 3000, 3001, 4000}
"""The codes that agent-framework promises; 1005-1008 and 4001-4005 are Quorate's."""


def test_every_code_has_one_row_and_every_row_a_code() -> None:
    assert set(FAULTS) == set(CODES.values()) - {errors.OK}
    assert len(set(CODES.values())) == len(CODES)
    assert set(FAULTS) >= SOURCES | {1005, 1006, 1007, 1008}
    assert all(row.code == code for code, row in FAULTS.items())


@pytest.mark.parametrize("row", FAULTS.values(), ids=lambda row: row.name)
def test_a_row_says_what_happened_and_what_to_do(row: errors.Fault) -> None:
    assert CODES[row.name.upper()] == row.code
    assert 400 <= row.http <= 599
    assert row.description
    assert row.recovery
    assert not row.recovery.endswith(".")


def test_http_status_follows_whose_fault_it_is() -> None:
    ours_or_beyond = {row.code for row in FAULTS.values() if row.http >= 500}
    assert ours_or_beyond == {errors.TIMEOUT, errors.DATABASE, errors.QUERY_TIMEOUT, errors.IPC}
    named = {errors.NOT_FOUND: 404, errors.INVALID: 400, errors.UNAUTHENTICATED: 401, errors.DENIED: 403}
    named |= {errors.CONFLICT: 409, errors.TOO_LARGE: 413, errors.UNSUPPORTED: 422, errors.RATE_LIMITED: 429}
    assert {code: FAULTS[code].http for code in named} == named


@pytest.mark.parametrize("kind", [QuorateError, ProtocolError, TemporaryError, PermanentError, MaxRetriesExceeded])
def test_an_error_carries_code_message_and_advice(kind: type[QuorateError]) -> None:
    error = kind(errors.CONFLICT, "two of them")
    assert error.fault is FAULTS[1006]
    assert error.hint == FAULTS[1006].recovery
    assert str(error) == f"[1006 conflict] two of them -> {FAULTS[1006].recovery}"
    assert str(kind(errors.CONFLICT, "two", "take one")) == "[1006 conflict] two -> take one"


def test_an_unknown_code_is_no_error_of_ours() -> None:
    with pytest.raises(KeyError):
        QuorateError(9999, "nobody knows this")


def test_require_blames_the_caller_and_demand_the_peer() -> None:
    require(True, "fine")
    demand(1, "fine")
    with pytest.raises(QuorateError, match="no name") as theirs:
        require("", "no name")
    assert (type(theirs.value), theirs.value.code) == (QuorateError, errors.INVALID)
    with pytest.raises(ProtocolError, match="no nonce") as peers:
        demand(b"", "no nonce")
    assert peers.value.code == errors.PROTOCOL
    with pytest.raises(QuorateError) as coded:
        require(0, "gone", errors.NOT_FOUND)
    assert coded.value.code == errors.NOT_FOUND


def test_an_invariant_is_no_error_that_a_handler_of_errors_catches() -> None:
    invariant(True, "V1")
    with pytest.raises(InvariantBroken, match="V1") as ours:
        invariant(False, "V1")
    assert not isinstance(ours.value, QuorateError)


def test_guards_also_stand_when_python_removes_asserts() -> None:
    code = (
        "from quorate.base.errors import *\n"
        "from quorate.base import errors\n"
        "assert False\n"  # removed by -O: the run goes on
        "for guard in (errors.require, errors.demand, errors.invariant):\n"
        "    try:\n"
        "        guard(False, 'x')\n"
        "    except (errors.QuorateError, errors.InvariantBroken):\n"
        "        print('stands')\n"
    )
    done = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["stands"] * 3
