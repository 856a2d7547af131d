"""The codec takes exactly what it was told to expect; anything else is a coded error, never another exception."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from quorate.base.codec import from_json, pack, to_json, unpack
from quorate.base.errors import INVALID, ProtocolError


class Vote(Struct, frozen=True, array_like=True):
    term: int
    node: bytes
    names: tuple[str, ...] = ()


VOTE = Vote(7, b"\x00\xff", ("ä", "\0"))


def test_a_value_comes_back_as_it_went() -> None:
    assert unpack(pack(VOTE), Vote) == VOTE
    assert from_json(to_json(VOTE), Vote) == VOTE
    assert pack(Vote(1, b"")) == b"\x93\x01\xc4\x00\x90"  # an array, positions and no names


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(pack(VOTE)[:-1], id="cut short"),
        pytest.param(pack(VOTE) + b"\x00", id="a byte too many"),
        pytest.param(pack(VOTE) * 2, id="twice"),
        pytest.param(pack([7]), id="a field missing"),
        pytest.param(pack(["7", b""]), id="text for a number"),
        pytest.param(pack([7.0, b""]), id="a fraction for a number"),
        pytest.param(pack([True, b""]), id="a truth for a number"),
        pytest.param(pack([7, "x"]), id="text for bytes"),
        pytest.param(pack([7, b"", ["a", 1]]), id="a number among names"),
        pytest.param(pack({"term": 7, "node": b""}), id="a map"),
        pytest.param(b"\xc1", id="a byte that msgpack never uses"),
        pytest.param(b"\x93\x07\xc4\x00\x91\xa1\xff", id="no UTF-8"),
        pytest.param(b"\xdd\xff\xff\xff\xff", id="an array that claims four billion items"),
    ],
)
def test_bytes_that_are_no_vote_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="not a Vote") as refused:
        unpack(data, Vote)
    assert refused.value.code == INVALID


@pytest.mark.parametrize(
    "text",
    ["", "[", "[7]", '[7,"AA=="] x', '["7","AA=="]', '[7,"AA==",["a",1]]', '[NaN,""]', '{"term":7}', b'[7,"\xff"]'],
)
def test_json_that_is_no_vote_is_refused(text: str | bytes) -> None:
    with pytest.raises(ProtocolError, match="not a Vote") as refused:
        from_json(text, Vote)
    assert refused.value.code == INVALID


def test_depth_is_refused_and_does_not_fell_the_process() -> None:
    for deep in (b"\x91" * 200_000 + b"\xc0", b"\x81\xa1a" * 200_000 + b"\xc0"):
        with pytest.raises(ProtocolError):
            unpack(deep, object)
    with pytest.raises(ProtocolError):
        from_json("[" * 200_000, object)


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.binary(max_size=64))
def test_noise_is_a_vote_or_a_coded_error(noise: bytes) -> None:
    for decode in (unpack, from_json):
        try:
            assert isinstance(decode(noise, Vote), Vote)
        except ProtocolError as error:
            assert error.code == INVALID


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.integers(0, len(pack(VOTE)) * 8 - 1))
def test_one_bit_changed_is_never_the_same_vote(bit: int) -> None:
    data = bytearray(pack(VOTE))
    data[bit // 8] ^= 1 << bit % 8
    try:
        assert unpack(bytes(data), Vote) != VOTE
    except ProtocolError as error:
        assert error.code == INVALID
