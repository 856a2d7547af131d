"""The frame: 64 bytes laid out as documented; what went in comes out; one bit changed and it is refused."""

import itertools
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.base.envelope import HEADER, HEADER_BYTES, open_frame, seal
from quorate.base.errors import PROTOCOL, TOO_LARGE, ProtocolError
from quorate.base.limits import LINK_MESSAGE_MAX_BYTES

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
KEYS = pytest.mark.parametrize("key", [b"", KEY], ids=["plain", "keyed"])
LAYOUT = (  # field, first byte, bytes: enhanced_msg_header_t of agent-framework, the flags word in its tail padding
    ("timestamp_ns", 0, 8),
    ("msg_id", 8, 4),
    ("source", 12, 4),
    ("target", 16, 4),
    ("msg_type", 20, 2),
    ("priority", 22, 2),
    ("payload_bytes", 24, 4),
    ("checksum", 28, 32),
    ("flags", 60, 4),
)
VALUES: dict[str, Any] = {
    "timestamp_ns": 1,
    "msg_id": 2,
    "source": 3,
    "target": 4,
    "msg_type": 5,
    "priority": 6,
    "flags": 7,
}
U16, U32, U64 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
FIELDS = st.tuples(U64, U32, U32, U32, U16, U16, U32, st.binary(max_size=300))


def _refused(frame: bytes, key: bytes, code: int = PROTOCOL) -> bool:
    with pytest.raises(ProtocolError) as error:
        open_frame(frame, key)
    return error.value.code == code


def test_the_header_is_64_bytes_as_documented() -> None:
    payload = b"payload"
    frame = seal(**VALUES, payload=payload)
    assert HEADER_BYTES == HEADER.size == 64
    assert LAYOUT[-1][1] + LAYOUT[-1][2] == 64
    assert all(first + size == after for (_, first, size), (_, after, _) in itertools.pairwise(LAYOUT))
    zeroed = frame[:28] + bytes(32) + frame[60:64]
    expected = VALUES | {"payload_bytes": len(payload)}
    for field, first, size in LAYOUT:
        if field != "checksum":
            assert int.from_bytes(frame[first : first + size], "little") == expected[field], field
    assert frame[28:60] == blake3(zeroed + payload).digest()
    assert seal(**VALUES, payload=payload, key=KEY)[28:60] == blake3(zeroed + payload, key=KEY).digest()
    assert frame[64:] == payload


@settings(derandomize=True, deadline=None, max_examples=300)
@given(FIELDS, st.sampled_from([b"", KEY]))
def test_e1_opening_gives_the_fields_back(fields: tuple[int, int, int, int, int, int, int, bytes], key: bytes) -> None:
    *head, flags, payload = fields
    opened = open_frame(seal(*fields, key=key), key)
    assert opened[:6] == tuple(head)
    assert opened[7:] == (flags, payload)
    assert len(opened[6]) == 32


@KEYS
def test_e2_every_single_bit_counts(key: bytes) -> None:
    frame = seal(2**60 + 1, 77, 1, 2, 6, 3, 0x80000001, b"sixteen byte pay", key)
    for bit in range(len(frame) * 8):
        changed = bytearray(frame)
        changed[bit // 8] ^= 1 << bit % 8
        assert _refused(bytes(changed), key), f"bit {bit}"


@KEYS
def test_a_frame_cut_short_or_made_longer_is_refused(key: bytes) -> None:
    frame = seal(1, 2, 3, 4, 5, 6, 7, b"payload", key)
    assert all(_refused(frame[:length], key) for length in range(len(frame)))
    assert _refused(frame + b"\x00", key)
    assert _refused(b"", key)


def test_a_frame_without_the_key_is_refused_and_so_is_one_with_another() -> None:
    plain, keyed = (seal(1, 2, 3, 4, 5, 6, 7, b"payload", key) for key in (b"", KEY))
    assert _refused(plain, KEY)
    assert _refused(keyed, b"")
    assert _refused(keyed, OTHER_KEY)


def test_the_largest_payload_passes_and_one_byte_more_does_not() -> None:
    assert len(open_frame(seal(0, 0, 0, 0, 0, 0, 0, bytes(LINK_MESSAGE_MAX_BYTES)))[8]) == LINK_MESSAGE_MAX_BYTES
    assert _refused(seal(0, 0, 0, 0, 0, 0, 0, bytes(LINK_MESSAGE_MAX_BYTES + 1)), b"", TOO_LARGE)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    assert _refused(noise, b"")
