"""Who may do what, and how a stranger checks it: chains, the log's tree and heads, receipts, grants, the handshake."""

from quorate.security.chain import BadEvent, Chain, Chains, open_event, open_head, sign_group, signature_holds
from quorate.security.grants import GrantRecord, Grants, may_issue, needs, token_hash
from quorate.security.merkle import EMPTY_ROOT, Tree, verify_consistency, verify_inclusion
from quorate.security.roles import RIGHTS, ROLES

__all__ = [
    "EMPTY_ROOT",
    "RIGHTS",
    "ROLES",
    "BadEvent",
    "Chain",
    "Chains",
    "GrantRecord",
    "Grants",
    "Tree",
    "may_issue",
    "needs",
    "open_event",
    "open_head",
    "sign_group",
    "signature_holds",
    "token_hash",
    "verify_consistency",
    "verify_inclusion",
]
