"""The receipt of a task: everything a stranger needs to check it offline, nothing more.

JSON form: bytes are lower-case hexadecimal; unknown keys are refused.
"""

from msgspec import Struct


class ResultProof(Struct, frozen=True, forbid_unknown_fields=True):
    slot: int
    epoch: int
    node: str
    code: int
    output: str
    usage: tuple[int, ...]
    sig: str


class EventProof(Struct, frozen=True, forbid_unknown_fields=True):
    """The settling event as it lies in the log, and the signed event of its batch that covers it.

    `chain` are the heads of the events from this one (exclusive) to the signed one (inclusive)."""

    head: str
    salt: str
    body: str
    chain: tuple[str, ...]
    sig: str


class HeadProof(Struct, frozen=True, forbid_unknown_fields=True):
    log: str
    epoch: int
    size: int
    root: str
    signer: str
    sig: str
    cosigned: tuple[tuple[str, str], ...]


class TaskReceipt(Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    realm: str
    nonce: str
    authority: str
    position: int
    spec: str
    agreed: tuple[ResultProof, ...]
    dissent: tuple[ResultProof, ...]
    event: EventProof
    path: tuple[str, ...]
    head: HeadProof
