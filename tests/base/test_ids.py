"""Ids: hashes as published, UUIDv7 as RFC 9562 lays it out, and text that is refused unless it is exact."""

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.base.errors import INVALID, QuorateError
from quorate.base.ids import HASH_BYTES, NO_ID, UUID_BYTES, hash_id, parse_id, uuid7

MS = 1_000_000
NOW = st.integers(0, (2**48 - 1) * MS)
RANDOM = st.binary(min_size=10, max_size=10)


def test_a_hash_is_blake3_as_published() -> None:
    # The first rows of the test vectors of the BLAKE3 reference: input bytes 0, 1, 2, ...
    assert hash_id(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert hash_id(b"\x00").hex() == "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"
    assert len(NO_ID) == HASH_BYTES
    assert hash_id(b"") != NO_ID


def test_uuid7_is_the_example_of_the_rfc() -> None:
    # RFC 9562, appendix A.6: 2022-02-22 19:22:22 UTC, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F.
    tail = (0xCC3 << 62 | 0x18C4DC0C0C07398F).to_bytes(10, "big")
    made = uuid7(0x017F22E279B0 * MS, tail)
    assert str(uuid.UUID(bytes=made)) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@settings(derandomize=True, deadline=None, max_examples=300)
@given(NOW, RANDOM)
def test_uuid7_says_version_variant_and_time_whatever_the_dice(now: int, random: bytes) -> None:
    made = uuid7(now, random)
    parsed = uuid.UUID(bytes=made)
    assert len(made) == UUID_BYTES
    assert parsed.version == 7
    assert parsed.variant == uuid.RFC_4122
    assert int.from_bytes(made[:6], "big") == now // MS


@settings(derandomize=True, deadline=None, max_examples=300)
@given(NOW, NOW, RANDOM, RANDOM)
def test_uuid7_sorts_by_time(one: int, other: int, random: bytes, another: bytes) -> None:
    if one // MS != other // MS:
        assert (uuid7(one, random) < uuid7(other, another)) == (one < other)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(RANDOM, st.integers(0, 73))
def test_uuid7_keeps_74_bits_of_the_dice(random: bytes, bit: int) -> None:
    flipped = (int.from_bytes(random, "big") ^ 1 << bit).to_bytes(10, "big")
    assert uuid7(0, random) != uuid7(0, flipped)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES))
def test_text_and_bytes_are_two_forms_of_one_id(raw: bytes) -> None:
    assert parse_id(raw.hex(), HASH_BYTES) == raw
    assert parse_id(raw[:UUID_BYTES].hex()) == raw[:UUID_BYTES]


@pytest.mark.parametrize(
    "text",
    ["", "0", "0" * 31, "0" * 33, "0" * 64, "g" * 32, " " + "0" * 32, "00 " * 16, "é" * 32, "\0" * 32, "0x" + "0" * 30],
)
def test_text_that_is_no_id_is_refused_by_name(text: str) -> None:
    with pytest.raises(QuorateError, match="task id") as refused:
        parse_id(text, what="task id")
    assert refused.value.code == INVALID


def test_a_refusal_does_not_echo_a_whole_novel() -> None:
    with pytest.raises(QuorateError) as refused:
        parse_id("z" * 100_000)
    assert len(refused.value.message) < 200
