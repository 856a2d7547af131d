"""The envelope of every message between processes, and the numbers of message types."""

from enum import IntEnum

from msgspec import Struct


class Envelope(Struct, frozen=True, array_like=True):
    """A header's fields and a payload. Handles are local to a link within a session."""

    timestamp_ns: int
    msg_id: int
    source: int
    target: int
    msg_type: int
    priority: int
    checksum: bytes
    flags: int
    payload: bytes


class MessageType(IntEnum):
    """1-15 are numbered as open-swarm section 2.3.2 lists them; the link's own follow from 32."""

    NODE_ANNOUNCEMENT = 1
    NODE_REGISTRATION = 2
    CAPABILITY_UPDATE = 3
    TASK_ASSIGNMENT = 4
    TASK_PROGRESS = 5
    TASK_RESULT = 6
    TASK_CANCELLATION = 7
    QUALITY_REQUEST = 8
    PEER_REVIEW = 9
    CONSENSUS_VOTE = 10
    TOKEN_TRANSACTION = 11
    RESOURCE_BILLING = 12
    HEALTH_CHECK = 13
    PERFORMANCE_METRICS = 14
    SYSTEM_UPDATE = 15
    CHALLENGE = 32
    WELCOME = 33
    REFUSED = 34
    HEALTH_REPLY = 35
    RESULT_RECEIPT = 36
    BLOB_GET = 37
    BLOB_PART = 38
    BLOB_PUT = 39
    BLOB_KEPT = 40
    DRAINING = 41
    LINK_OPENED = 64  # local: a link came up; the payload is 64 bytes of entropy
    LINK_CLOSED = 65  # local: it went away
