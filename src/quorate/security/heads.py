"""Signed heads: what the authority says its log is, and the nodes that hold it to that.

Knows sizes, roots and keys; never an event. A head is signed by its realm's authority and cosigned, under another
context, by nodes that have checked that it extends the last one they saw.

Invariants: H1 a witness cosigns only what extends everything it has cosigned. H2 a head's logs and cosignatures
are in order, each there once. H3 a refused head leaves the witness where it was.
"""

from collections.abc import Iterable
from itertools import pairwise

from msgspec.structs import replace

from quorate.base.codec import pack, unpack
from quorate.base.errors import CONFLICT, INVALID, PROTOCOL, UNAUTHENTICATED, ProtocolError, demand, invariant
from quorate.base.ids import HASH_BYTES, UUID_BYTES
from quorate.base.signing import COSIGN, HEAD, Signer, Verify
from quorate.model.events import LogHead, SignedHead
from quorate.model.link import HeartbeatReply
from quorate.security.merkle import EMPTY_ROOT, verify_consistency


def _content(realm: bytes, heads: tuple[LogHead, ...], signer: bytes) -> bytes:
    return pack((realm, heads, signer))


def sign_head(realm: bytes, heads: tuple[LogHead, ...], signer: Signer) -> SignedHead:
    """The authority's word for its logs, one entry a log."""
    ordered = tuple(sorted(heads, key=lambda head: head.log))
    invariant(len({head.log for head in ordered}) == len(ordered), "H2: one entry a log")
    return SignedHead(realm, ordered, signer.public, signer.sign(HEAD + _content(realm, ordered, signer.public)))


def check_head(head: SignedHead, verify: Verify, authority: bytes) -> None:
    """Raise 1002 or 1003 unless the head is well-formed and signed by the authority. Cosignatures are not looked at."""
    demand(len(head.realm) == UUID_BYTES, "head: realm is not 16 bytes", INVALID)
    demand(head.heads, "head of no log", INVALID)
    demand(all(one.log < two.log for one, two in pairwise(head.heads)), "head: logs out of order", INVALID)
    for log in head.heads:
        demand(len(log.root) == HASH_BYTES and log.size >= 0 and log.epoch >= 0, "head: malformed log", INVALID)
        demand(log.size != 0 or log.root == EMPTY_ROOT, "head: an empty log has the empty root", INVALID)
    demand(head.signer == authority, "head is signed by someone else than the authority", UNAUTHENTICATED)
    content = _content(head.realm, head.heads, head.signer)
    demand(verify(authority, HEAD + content, head.sig), "head: signature does not hold", UNAUTHENTICATED)


def head_holds(head: SignedHead, authority: bytes, verify: Verify) -> bool:
    """`check_head` as a question."""
    try:
        check_head(head, verify, authority)
    except ProtocolError:
        return False
    return True


def cosign(head: SignedHead, signer: Signer) -> bytes:
    """A node's signature of the same head, for whoever has checked it (see `Witness`)."""
    return signer.sign(COSIGN + _content(head.realm, head.heads, head.signer))


def cosigner_holds(head: SignedHead, node: bytes, sig: bytes, verify: Verify) -> bool:
    """Is `sig` the node's cosignature of this head?"""
    return verify(node, COSIGN + _content(head.realm, head.heads, head.signer), sig)


def add_cosignatures(head: SignedHead, cosigned: Iterable[tuple[bytes, bytes]]) -> SignedHead:
    """The head with further (node, signature) pairs, which the caller has checked; a node's newest counts."""
    return replace(head, cosigned=tuple(sorted((dict(head.cosigned) | dict(cosigned)).items())))


def only_log(head: SignedHead) -> LogHead:
    """The one log of a head. Raises 3000 when there are several: a reply proves the growth of one."""
    demand(len(head.heads) == 1, f"head of {len(head.heads)} logs, this speaks of one")
    return head.heads[0]


class Witness:
    """A node's memory of the log: it cosigns heads that only ever grow.

    Save `record()` before a cosignature leaves: whoever forgets what it has cosigned can be made to cosign a fork."""

    __slots__ = ("_authority", "_realm", "_verify", "evidence", "last")

    def __init__(self, realm: bytes, authority: bytes, verify: Verify, last: SignedHead | None = None) -> None:
        self._realm, self._authority, self._verify = realm, authority, verify
        self.last = last
        self.evidence: tuple[SignedHead, SignedHead] | None = None
        """Two heads signed by the authority that do not go together, older first: what a node shows to others."""

    @property
    def seen(self) -> int:
        """The size up to which the log is verified: where the next proof must start."""
        return only_log(self.last).size if self.last else 0

    def consider(self, reply: HeartbeatReply, signer: Signer) -> tuple[int, bytes]:
        """Check a head: its (size, cosignature), or (0, b"") where the reply proves nothing about what was seen last.

        Raises `ProtocolError` 1002, 1003, 3000 for a bad one, 1006 for a log that shrank or forked (`evidence`)."""
        head = reply.head
        if head is None:
            return 0, b""
        check_head(head, self._verify, self._authority)
        demand(head.realm == self._realm, "head of another realm")
        new = only_log(head)
        old = only_log(self.last) if self.last else LogHead(new.log, 0, 0, EMPTY_ROOT)
        demand(new.log == old.log, "head of another log")
        if (new.size, new.root, new.epoch) != (old.size, old.root, old.epoch):
            if new.size < old.size:
                raise self._fork(head, f"the log shrank from {old.size} to {new.size}")
            if new.epoch < old.epoch:
                raise self._fork(head, f"its epoch fell from {old.epoch} to {new.epoch}")
            if new.size == old.size and new.root != old.root:
                raise self._fork(head, f"two different logs of size {new.size}")
            # A reply that crossed a later one: nothing is wrong, nothing is proven. The next one starts from `seen`.
            if new.size > old.size and reply.since != old.size:
                demand(reply.since < old.size, f"proof from size {reply.since}, seen is {old.size}", PROTOCOL)
                return 0, b""
            if not verify_consistency(old.size, old.root, new.size, new.root, reply.proof):
                raise self._fork(head, f"no proof that size {new.size} extends size {old.size}")
        self.last = replace(head, cosigned=())
        return new.size, cosign(head, signer)

    def record(self) -> bytes:
        """What to save, for `restore`."""
        return pack(self.last)

    def restore(self, record: bytes) -> None:
        """Take over a saved record. Raises `ProtocolError` 1002, 1003 when it is damaged."""
        head: SignedHead | None = unpack(record, SignedHead | None)  # type: ignore[arg-type]
        if head is not None:
            check_head(head, self._verify, self._authority)
            demand(head.realm == self._realm, "record of another realm", INVALID)
            only_log(head)
        self.last = head

    def _fork(self, head: SignedHead, why: str) -> ProtocolError:
        if self.last is not None:
            self.evidence = (self.last, replace(head, cosigned=()))
        return ProtocolError(CONFLICT, why, "Do not trust this coordinator; show both heads to its operator")
