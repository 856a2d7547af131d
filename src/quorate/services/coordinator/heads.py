"""Heads of the log: made at a steady pace, cosigned by nodes, kept for receipts.

Knows no clock. Invariants: H1 heads grow. H2 a cosignature is kept only if it holds for a head of ours.
"""

from quorate.base.signing import Signer, Verify
from quorate.model import Id, LogHead, SignedHead
from quorate.security import cosigner_holds, sign_head

HEADS_KEPT = 16


class HeadBook:
    """The newest heads by size, each with the cosignatures it collected."""

    def __init__(self, signer: Signer, verify: Verify) -> None:
        self._signer = signer
        self._verify = verify
        self._heads: dict[int, SignedHead] = {}
        self._made_at = 0
        self.newest: SignedHead | None = None
        self.unsaved: SignedHead | None = None

    def renew(self, realm: bytes, head: LogHead, now: int) -> SignedHead:
        """Sign `head` and make it the newest."""
        signed = sign_head(realm, (head,), self._signer)
        self.newest, self._made_at = signed, now
        self._heads[head.size] = signed
        while len(self._heads) > HEADS_KEPT:
            self._heads.pop(min(self._heads))
        return signed

    def adopt(self, head: SignedHead) -> None:
        """Take over a head from before a restart."""
        self._heads[head.heads[0].size] = head

    def due_at(self, size: int, pace_ns: int) -> int | None:
        """When the next head is due for a log of `size`; None: the newest covers it."""
        if size == 0 or (self.newest is not None and self.newest.heads[0].size >= size):
            return None
        return self._made_at + pace_ns

    def cosign(self, node: bytes, size: int, sig: bytes) -> bool:
        """Keep a node's cosignature of the head of `size`. False if there is no such head or it does not hold."""
        head = self._heads.get(size)
        if head is None or not cosigner_holds(head, node, sig, self._verify):
            return False
        if all(key != node for key, _ in head.cosigned):
            cosigned = tuple(sorted((*head.cosigned, (node, sig))))
            head = SignedHead(head.realm, head.heads, head.signer, head.sig, cosigned)
            self._heads[size] = head
            self.unsaved = head
            if self.newest is not None and self.newest.heads[0].size == size:
                self.newest = head
        return True

    def covering(self, position: int) -> SignedHead | None:
        """The best cosigned head whose log holds `position`: most cosignatures, then newest."""
        held = [head for size, head in self._heads.items() if size >= position]
        return max(held, key=lambda head: (len(head.cosigned), head.heads[0].size), default=None)

    def best(self) -> SignedHead | None:
        """The head with the most cosignatures, the newest of those."""
        return self.covering(0)

    def root_of(self, size: int) -> Id | None:
        head = self._heads.get(size)
        return head.heads[0].root if head else None
