"""Ids: BLAKE3-256 of bytes as received, or a UUIDv7 where the thing is named before it is written.

Text form is lower-case hexadecimal everywhere: 64 digits for a hash or key, 32 for a UUID.
"""

from blake3 import blake3

from quorate.base.errors import INVALID, QuorateError

HASH_BYTES = 32
UUID_BYTES = 16
NO_ID = bytes(HASH_BYTES)


def hash_id(data: bytes) -> bytes:
    """BLAKE3-256 of `data`, 32 bytes."""
    return blake3(data).digest()


def keyed_hash(key: bytes, data: bytes) -> bytes:
    """BLAKE3-256 of `data` under a 32-byte `key`: for whoever lacks the key as good as random."""
    return blake3(data, key=key).digest()


def uuid7(now_ns: int, random: bytes) -> bytes:
    """A UUIDv7 (RFC 9562 section 5.7) from a wall clock in nanoseconds and 10 random bytes; 16 bytes."""
    ms = now_ns // 1_000_000
    tail = int.from_bytes(random[:10], "big")
    value = (ms & ((1 << 48) - 1)) << 80 | 7 << 76 | ((tail >> 62) & 0xFFF) << 64 | 2 << 62 | (tail & ((1 << 62) - 1))
    return value.to_bytes(UUID_BYTES, "big")


def parse_id(text: str, size: int = UUID_BYTES, what: str = "id") -> bytes:
    """The bytes of a hexadecimal id of `size` bytes. Raises 1002 if it is none."""
    try:
        raw = bytes.fromhex(text)
    except (ValueError, TypeError):
        raw = b""
    if len(raw) != size or len(text) != size * 2:
        raise QuorateError(INVALID, f"{what} {text[:80]!r} is not {size * 2} hexadecimal digits")
    return raw
