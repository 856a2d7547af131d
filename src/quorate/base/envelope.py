"""The frame of an envelope: a 64-byte header and a payload (enhanced_msg_header_t of agent-framework).

Works on plain fields, in the order of `model.Envelope`, so that `base` stays below `model`. The
checksum is BLAKE3 over the header (checksum zeroed) and the payload: plain, or keyed by a session key.
Invariants: E1 `open_frame(seal(...))` gives the fields back. E2 a frame with one bit changed is refused.
"""

import struct
from hmac import compare_digest

from blake3 import blake3

from quorate.base.errors import PROTOCOL, TOO_LARGE, demand
from quorate.base.limits import LINK_MESSAGE_MAX_BYTES

HEADER = struct.Struct("<QIIIHHI32sI")
HEADER_BYTES = HEADER.size
CHECKSUM_BYTES = 32
_ZERO = bytes(CHECKSUM_BYTES)

Fields = tuple[int, int, int, int, int, int, bytes, int, bytes]
"""timestamp_ns, msg_id, source, target, msg_type, priority, checksum, flags, payload"""


def _checksum(header: bytes, payload: bytes, key: bytes) -> bytes:
    hasher = blake3(header, key=key) if key else blake3(header)
    return hasher.update(payload).digest()


def seal(
    timestamp_ns: int,
    msg_id: int,
    source: int,
    target: int,
    msg_type: int,
    priority: int,
    flags: int,
    payload: bytes,
    key: bytes = b"",
) -> bytes:
    """The frame of one message, its checksum keyed if `key` (32 bytes) is given."""
    head = (timestamp_ns, msg_id, source, target, msg_type, priority, len(payload))
    checksum = _checksum(HEADER.pack(*head, _ZERO, flags), payload, key)
    return HEADER.pack(*head, checksum, flags) + payload


def open_frame(frame: bytes, key: bytes = b"") -> Fields:
    """The fields of `frame`. Raises `ProtocolError` 3000 or 1007 when it is damaged, forged or too large."""
    demand(len(frame) >= HEADER_BYTES, f"frame of {len(frame)} bytes, a header has {HEADER_BYTES}", PROTOCOL)
    demand(len(frame) <= LINK_MESSAGE_MAX_BYTES + HEADER_BYTES, f"frame of {len(frame)} bytes", TOO_LARGE)
    ts, msg_id, source, target, msg_type, priority, size, checksum, flags = HEADER.unpack_from(frame)
    payload = frame[HEADER_BYTES:]
    demand(size == len(payload), f"payload of {len(payload)} bytes, header says {size}", PROTOCOL)
    plain = HEADER.pack(ts, msg_id, source, target, msg_type, priority, size, _ZERO, flags)
    demand(compare_digest(_checksum(plain, payload, key), checksum), "checksum does not hold", PROTOCOL)
    return ts, msg_id, source, target, msg_type, priority, checksum, flags, payload
