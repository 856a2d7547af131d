"""Who may do what, and how a stranger checks it: chains, the log's tree and heads, receipts, grants, the handshake."""

from quorate.security.chain import BadEvent, Chain, Chains, open_event, open_head, sign_group, signature_holds
from quorate.security.grants import GrantRecord, Grants, may_issue, needs, token_hash
from quorate.security.heads import (
    Witness,
    add_cosignatures,
    check_head,
    cosign,
    cosigner_holds,
    only_log,
    sign_head,
)
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
    "Witness",
    "add_cosignatures",
    "check_head",
    "cosign",
    "cosigner_holds",
    "may_issue",
    "needs",
    "only_log",
    "open_event",
    "open_head",
    "sign_group",
    "sign_head",
    "signature_holds",
    "token_hash",
    "verify_consistency",
    "verify_inclusion",
]
