"""Receipts of tasks: a stranger checks one with nothing but the receipt, and what it knows beforehand.

Knows the settling event, the signed results in it and the log's cosigned head. Knows no network and no disk. Whoever
checks may pin the authority and the nodes; unpinned, a receipt proves what these keys say, not whose keys they are,
and the report tells which it was.

Invariants: P1 every value in a receipt is checked against another or a signature: none can be changed, dropped,
added, doubled or moved. P2 a receipt that verifies shows a quorum of distinct nodes that signed the same output.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from quorate.base.codec import from_json, pack, to_json, unpack
from quorate.base.errors import INVALID, NO_QUORUM, OK, TOO_LARGE, UNAUTHENTICATED, ProtocolError, require
from quorate.base.ids import UUID_BYTES, hash_id
from quorate.base.limits import GROUP_EVENTS_MAX, RECEIPT_MAX_BYTES
from quorate.base.signing import RESULT, Signer, Verify
from quorate.model.bodies import TaskSettled
from quorate.model.events import Event, Id, LogHead, Sealed, SignedHead
from quorate.model.receipts import EventProof, HeadProof, ResultProof, TaskReceipt
from quorate.model.tasks import Result, TaskSpec, TaskState
from quorate.security.chain import open_event, open_head, signature_holds
from quorate.security.heads import check_head, cosigner_holds, only_log
from quorate.security.merkle import verify_inclusion

RECEIPT_VERSION = 1
_REALM = b"quorate realm 1\x00"


class BadReceipt(ProtocolError):
    """A receipt that does not hold; the message says where."""

    def __init__(self, what: str, code: int = INVALID) -> None:
        super().__init__(code, f"receipt: {what}", "Do not rely on this receipt; ask the coordinator for another")


def realm_id(authority: bytes, nonce: bytes) -> bytes:
    """A realm's id, 16 bytes: nobody else can found the same one."""
    return hash_id(_REALM + authority + nonce)[:UUID_BYTES]


def result_message(realm: bytes, result: Result) -> bytes:
    """What a node signs: everything in a result but the signature, in this realm."""
    said = (result.task, result.slot, result.epoch, result.node, result.code, result.output, result.usage)
    return RESULT + pack((realm, *said))


def sign_result(realm: bytes, result: Result, signer: Signer) -> Result:
    """The result with its node's signature."""
    return msgspec.structs.replace(result, sig=signer.sign(result_message(realm, result)))


def result_holds(realm: bytes, result: Result, verify: Verify) -> bool:
    """Did the result's node sign it, in this realm?"""
    return verify(result.node, result_message(realm, result), result.sig)


@dataclass(frozen=True, slots=True)
class ReceiptReport:
    """What a receipt that verified shows. `authority_known`, `nodes_known`: checked against keys known beforehand."""

    realm: bytes
    authority: bytes
    task: bytes
    job: bytes
    executor: str
    input: Id
    output: Id
    quorum: int
    agreed: tuple[bytes, ...]
    dissent: tuple[bytes, ...]
    event: Id
    position: int
    size: int
    cosigners: tuple[bytes, ...]
    authority_known: bool
    nodes_known: bool

    @property
    def lines(self) -> tuple[str, ...]:
        """For printing."""
        authority = "the one you named" if self.authority_known else "not compared with one that you know"
        nodes = "all are among those you named" if self.nodes_known else "not compared with a list that you know"
        return (
            f"task      {self.task.hex()} ({self.executor} on input {self.input.hex()})",
            f"output    {self.output.hex()}",
            f"quorum    {len(self.agreed)} nodes signed this output, {self.quorum} had to",
            *(f"  agreed  {node.hex()}" for node in self.agreed),
            *(f"  differs {node.hex()}" for node in self.dissent),
            f"log       event {self.event.hex()} at position {self.position} of {self.size}",
            f"head      cosigned by {len(self.cosigners)} nodes",
            *(f"  cosigns {node.hex()}" for node in self.cosigners),
            f"realm     {self.realm.hex()}",
            f"authority {self.authority.hex()}: {authority}",
            f"nodes     {nodes}",
        )


def build_receipt(
    *,
    authority: bytes,
    nonce: bytes,
    spec: TaskSpec,
    position: int,
    sealed: Sealed,
    chain: Sequence[Sealed],
    path: Sequence[Id],
    head: SignedHead,
    cosigners: int | None = None,
) -> TaskReceipt:
    """The receipt of the task that `sealed`, at `position`, settled.

    `chain`: the authority's events after it, up to the signed one that covers it; empty if it is signed itself.
    `path`: `Tree.inclusion(position - 1, size of head)`. Of the cosignatures as many are kept as the task's quorum
    asks for, or `cosigners`: each is then needed."""
    signed = chain[-1] if chain else sealed
    require(sealed.body is not None and signed.sig is not None, "the event was erased, or nothing signed covers it")
    body = unpack(sealed.body or b"", TaskSettled)
    log = only_log(head)
    kept = head.cosigned[: spec.quorum if cosigners is None else cosigners]
    return TaskReceipt(
        version=RECEIPT_VERSION,
        realm=realm_id(authority, nonce).hex(),
        nonce=nonce.hex(),
        authority=authority.hex(),
        position=position,
        spec=pack(spec).hex(),
        agreed=tuple(map(_result_proof, body.agreed)),
        dissent=tuple(map(_result_proof, body.dissent)),
        event=EventProof(
            head=sealed.head.hex(),
            salt=sealed.salt.hex(),
            body=(sealed.body or b"").hex(),
            chain=tuple(later.head.hex() for later in chain),
            sig=(signed.sig or b"").hex(),
        ),
        path=tuple(id.hex() for id in path),
        head=HeadProof(
            log=log.log.hex(),
            epoch=log.epoch,
            size=log.size,
            root=log.root.hex(),
            signer=head.signer.hex(),
            sig=head.sig.hex(),
            cosigned=tuple((node.hex(), sig.hex()) for node, sig in kept),
        ),
    )


def verify_receipt(
    data: bytes,
    verify: Verify,
    *,
    authority: bytes | None = None,
    nodes: frozenset[bytes] = frozenset(),
    cosigners: int | None = None,
) -> ReceiptReport:
    """Check a receipt's JSON. `authority`, `nodes`: the only ones accepted. `cosigners`: how many must have cosigned.

    Without `cosigners` the task's own quorum must. Raises `BadReceipt` (1002, 1003, 1007, 4003)."""
    try:
        receipt = _decode(data)
        realm = _realm_of(receipt, authority)
        event_id, body = _settlement(receipt, realm, verify)
        spec = _spec(receipt, body)
        agreed, dissent = _results(receipt, realm, spec, body, nodes, verify)
        head = _head(receipt, realm, verify)
        log = only_log(head)
        path = [_bytes(id, "path") for id in receipt.path]
        included = verify_inclusion(event_id, receipt.position - 1, log.size, path, log.root)
        _check(included, f"the event is not at position {receipt.position} of the log of {log.size}")
        cosigned = _cosigners(head, nodes, spec.quorum if cosigners is None else cosigners, verify)
    except BadReceipt:
        raise
    except ProtocolError as error:
        raise BadReceipt(error.message, error.code) from None
    return ReceiptReport(
        realm=realm,
        authority=head.signer,
        task=body.task,
        job=body.job,
        executor=spec.executor,
        input=spec.input,
        output=body.output,
        quorum=body.quorum,
        agreed=agreed,
        dissent=dissent,
        event=event_id,
        position=receipt.position,
        size=log.size,
        cosigners=cosigned,
        authority_known=authority is not None,
        nodes_known=bool(nodes),
    )


def _check(holds: object, what: str, code: int = INVALID) -> None:
    if not holds:
        raise BadReceipt(what, code)


def _bytes(text: str, what: str) -> bytes:
    """The bytes of lower-case hexadecimal, the only way to write them."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    _check(raw.hex() == text, f"{what} is not lower-case hexadecimal")
    return raw


def _result_proof(result: Result) -> ResultProof:
    return ResultProof(
        slot=result.slot,
        epoch=result.epoch,
        node=result.node.hex(),
        code=result.code,
        output=result.output.hex(),
        usage=result.usage,
        sig=result.sig.hex(),
    )


def _decode(data: bytes) -> TaskReceipt:
    _check(len(data) <= RECEIPT_MAX_BYTES, f"{len(data)} bytes", TOO_LARGE)
    receipt = from_json(data, TaskReceipt)
    # The canonical form is the shortest: whatever is longer says a key twice, or in a roundabout way, and another
    # reader might see another value. Spaces and the order of keys are free.
    _check(len(msgspec.json.format(data, indent=-1)) == len(to_json(receipt)), "a key is there twice, or is escaped")
    _check(receipt.version == RECEIPT_VERSION, f"version {receipt.version}, this checks {RECEIPT_VERSION}")
    return receipt


def _realm_of(receipt: TaskReceipt, authority: bytes | None) -> bytes:
    key = _bytes(receipt.authority, "authority")
    _check(authority is None or key == authority, "it is of another authority than the one you named", UNAUTHENTICATED)
    realm = realm_id(key, _bytes(receipt.nonce, "nonce"))
    _check(_bytes(receipt.realm, "realm") == realm, "realm is not that of its authority and nonce")
    return realm


def _settlement(receipt: TaskReceipt, realm: bytes, verify: Verify) -> tuple[Id, TaskSettled]:
    """The settling event: the authority's, in this realm, and signed."""
    proof = receipt.event
    salt, body = _bytes(proof.salt, "event.salt"), _bytes(proof.body, "event.body")
    id, event = open_event(Sealed(_bytes(proof.head, "event.head"), salt, body, None))
    _check(event.realm == realm, "the event is of another realm")
    _check(event.actor.hex() == receipt.authority, "the event is not the authority's")
    _check(event.kind == "task.settled", f"the event is {event.kind}, not task.settled")
    _check(len(proof.chain) < GROUP_EVENTS_MAX, "event.chain is longer than a group")
    last, last_id = event, id
    for text in proof.chain:
        last_id, last = _link(_bytes(text, "event.chain"), last, last_id)
    sig = _bytes(proof.sig, "event.sig")
    _check(signature_holds(event.actor, last_id, sig, verify), "event.sig does not cover the event", UNAUTHENTICATED)
    return id, unpack(body, TaskSettled)


def _link(head: bytes, before: Event, before_id: Id) -> tuple[Id, Event]:
    id, event = open_head(head)
    follows = event.prev == before_id and event.seq == before.seq + 1 and event.hlc > before.hlc
    _check(follows and event.actor == before.actor and event.realm == before.realm, "event.chain is broken")
    return id, event


def _spec(receipt: TaskReceipt, body: TaskSettled) -> TaskSpec:
    raw = _bytes(receipt.spec, "spec")
    _check(hash_id(raw) == body.spec_hash, "spec is not the one that was settled")
    spec = unpack(raw, TaskSpec)
    _check(spec.id == body.task, "the event settles another task")
    _check(spec.quorum >= 1, "spec asks for no quorum")
    _check(body.state == TaskState.COMPLETED and body.code == OK, f"the task is {body.state}, not completed")
    return spec


def _results(
    receipt: TaskReceipt, realm: bytes, spec: TaskSpec, body: TaskSettled, nodes: frozenset[bytes], verify: Verify
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """The nodes that agreed and those that differed: each signed, each once."""
    agreed = tuple(_result(proof, spec, f"agreed[{at}]") for at, proof in enumerate(receipt.agreed))
    dissent = tuple(_result(proof, spec, f"dissent[{at}]") for at, proof in enumerate(receipt.dissent))
    _check(agreed == body.agreed, "agreed is not what the event says")
    _check(dissent == body.dissent, "dissent is not what the event says")
    for result in agreed:
        same = (result.code, result.output) == (body.code, body.output)
        _check(same, f"node {result.node.hex()} agreed to another output than the one settled")
    for result in dissent:
        differs = (result.code, result.output) != (body.code, body.output)
        _check(differs, f"node {result.node.hex()} is said to differ and does not")
    for result in (*agreed, *dissent):
        who = f"node {result.node.hex()}"
        _check(result_holds(realm, result, verify), f"{who} did not sign this result", UNAUTHENTICATED)
        _check(not nodes or result.node in nodes, f"{who} is not among those you named", UNAUTHENTICATED)
    voters = [result.node for result in (*agreed, *dissent)]
    _check(len(set(voters)) == len(voters), "a node counts twice", NO_QUORUM)
    need = max(body.quorum, spec.quorum)
    _check(len(agreed) >= need, f"{len(agreed)} nodes agreed, {need} had to", NO_QUORUM)
    return tuple(result.node for result in agreed), tuple(result.node for result in dissent)


def _result(proof: ResultProof, spec: TaskSpec, what: str) -> Result:
    node, output = _bytes(proof.node, f"{what}.node"), _bytes(proof.output, f"{what}.output")
    sig = _bytes(proof.sig, f"{what}.sig")
    return Result(spec.id, proof.slot, proof.epoch, node, proof.code, output, proof.usage, sig)


def _head(receipt: TaskReceipt, realm: bytes, verify: Verify) -> SignedHead:
    """The log's head, signed by the authority."""
    proof = receipt.head
    # JSON knows numbers that no signed message can hold.
    _check(max(proof.epoch, proof.size, -proof.epoch, -proof.size) < 1 << 63, "head: a number is too large")
    log = LogHead(_bytes(proof.log, "head.log"), proof.epoch, proof.size, _bytes(proof.root, "head.root"))
    signer, sig = _bytes(proof.signer, "head.signer"), _bytes(proof.sig, "head.sig")
    cosigned = tuple((_bytes(node, "head.cosigned"), _bytes(by, "head.cosigned")) for node, by in proof.cosigned)
    head = SignedHead(realm, (log,), signer, sig, cosigned)
    check_head(head, verify, bytes.fromhex(receipt.authority))
    return head


def _cosigners(head: SignedHead, nodes: frozenset[bytes], need: int, verify: Verify) -> tuple[bytes, ...]:
    """The nodes that hold the authority to its log: at least `need`, each once and in order, never itself."""
    keys = tuple(node for node, _ in head.cosigned)
    _check(list(keys) == sorted(set(keys)), "head.cosigned is out of order, or names a node twice")
    for node, sig in head.cosigned:
        who = f"cosigner {node.hex()}"
        _check(node != head.signer, "the authority cosigns its own head", UNAUTHENTICATED)
        _check(not nodes or node in nodes, f"{who} is not among the nodes you named", UNAUTHENTICATED)
        _check(cosigner_holds(head, node, sig, verify), f"{who} did not sign this head", UNAUTHENTICATED)
    _check(len(keys) >= need, f"{len(keys)} nodes cosigned the log's head, {need} had to", NO_QUORUM)
    return keys
