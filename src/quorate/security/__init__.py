"""Who may do what, and how a stranger checks it: chains, the log's tree and heads, receipts, grants, the handshake."""

from quorate.security.chain import BadEvent, Chain, Chains, open_event, open_head, sign_group, signature_holds
from quorate.security.merkle import EMPTY_ROOT, Tree, verify_consistency, verify_inclusion

__all__ = [
    "EMPTY_ROOT",
    "BadEvent",
    "Chain",
    "Chains",
    "Tree",
    "open_event",
    "open_head",
    "sign_group",
    "signature_holds",
    "verify_consistency",
    "verify_inclusion",
]
