"""Payloads of the messages between a coordinator and its nodes, by `MessageType`."""

from msgspec import Struct

from quorate.model.events import Id, SignedHead
from quorate.model.tasks import Lease, Result, TaskSpec


class Challenge(Struct, frozen=True, array_like=True):
    """CHALLENGE, coordinator first: who it says it is, a nonce, an ephemeral X25519 key."""

    protocol: int
    realm: bytes
    authority: bytes
    nonce: bytes
    exchange: bytes


class Hello(Struct, frozen=True, array_like=True):
    """NODE_REGISTRATION: the node's answer. `sig` covers both nonces, both exchange keys and the rest."""

    protocol: int
    node: bytes
    nonce: bytes
    exchange: bytes
    join: str
    name: str
    capabilities: tuple[str, ...]
    slots: int
    running: tuple[Lease, ...]
    sig: bytes


class Welcome(Struct, frozen=True, array_like=True):
    """WELCOME: `sig` by the authority over both nonces, both exchange keys and the node. Frames are keyed from here."""

    session: int
    heartbeat_ms: int
    window: int
    grant: Id
    sig: bytes


class Refused(Struct, frozen=True, array_like=True):
    """REFUSED: the code and what to do. `final`: do not come back with the same."""

    code: int
    message: str
    final: bool


class Heartbeat(Struct, frozen=True, array_like=True):
    """HEALTH_CHECK, node to coordinator. `cosign`: (size, signature over the head of that size), or size 0.
    `seen` is the size of the last head it verified: the next consistency proof starts there."""

    running: int
    free: int
    load: tuple[int, ...]
    seen: int
    cosign: tuple[int, bytes]
    rejected: str = ""


class HeartbeatReply(Struct, frozen=True, array_like=True):
    """HEALTH_REPLY: the newest signed head, and the proof that it extends the one of size `since`."""

    head: SignedHead | None
    since: int
    proof: tuple[Id, ...]


class Assignment(Struct, frozen=True, array_like=True):
    """One lease: its task, the input inline (or None: fetch `spec.input`), the outputs of its deps."""

    lease: Lease
    spec: TaskSpec
    input: bytes | None
    deps: tuple[tuple[str, Id], ...]


class Assignments(Struct, frozen=True, array_like=True):
    """TASK_ASSIGNMENT."""

    items: tuple[Assignment, ...]


class Progress(Struct, frozen=True, array_like=True):
    """TASK_PROGRESS: these leases began to run."""

    started: tuple[tuple[bytes, int, int], ...]


class Answer(Struct, frozen=True, array_like=True):
    """One result with its output inline (or None: put as a blob before), and the last words of its log."""

    result: Result
    output: bytes | None
    words: str


class Answers(Struct, frozen=True, array_like=True):
    """TASK_RESULT."""

    items: tuple[Answer, ...]


class ResultReceipts(Struct, frozen=True, array_like=True):
    """RESULT_RECEIPT: (task, slot, epoch, code) of results that are on disk, or void: the node forgets them."""

    items: tuple[tuple[bytes, int, int, int], ...]


class Cancellation(Struct, frozen=True, array_like=True):
    """TASK_CANCELLATION: leases that are void. From a node: leases that it hands back unfinished."""

    items: tuple[tuple[bytes, int, int], ...]
    reason: str


class BlobGet(Struct, frozen=True, array_like=True):
    id: Id
    offset: int


class BlobPart(Struct, frozen=True, array_like=True):
    """BLOB_PART to a node, BLOB_PUT from one. `total` -1: there is no such blob."""

    id: Id
    offset: int
    total: int
    data: bytes


class BlobKept(Struct, frozen=True, array_like=True):
    """BLOB_KEPT: the blob is durable (code 0) or refused."""

    id: Id
    code: int


class Draining(Struct, frozen=True, array_like=True):
    """DRAINING, either way: no new leases; the reason."""

    reason: str


PROTOCOL_VERSION = 1
