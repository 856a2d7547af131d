"""Who may do what, and how a stranger checks it: chains, the log's tree and heads, receipts, grants, the handshake."""

from quorate.security.chain import BadEvent, Chain, Chains, open_event, open_head, sign_group, signature_holds
from quorate.security.grants import GrantRecord, Grants, may_issue, needs, token_hash
from quorate.security.handshake import (
    NONCE_BYTES,
    Frames,
    check_challenge,
    check_hello,
    check_welcome,
    session_frames,
    session_keys,
    sign_hello,
    sign_welcome,
)
from quorate.security.heads import (
    Witness,
    add_cosignatures,
    check_head,
    cosign,
    cosigner_holds,
    head_holds,
    only_log,
    sign_head,
)
from quorate.security.merkle import EMPTY_ROOT, Tree, verify_consistency, verify_inclusion
from quorate.security.roles import RIGHTS, ROLES

__all__ = [
    "EMPTY_ROOT",
    "NONCE_BYTES",
    "RIGHTS",
    "ROLES",
    "BadEvent",
    "Chain",
    "Chains",
    "Frames",
    "GrantRecord",
    "Grants",
    "Tree",
    "Witness",
    "add_cosignatures",
    "check_challenge",
    "check_head",
    "check_hello",
    "check_welcome",
    "cosign",
    "cosigner_holds",
    "head_holds",
    "may_issue",
    "needs",
    "only_log",
    "open_event",
    "open_head",
    "session_frames",
    "session_keys",
    "sign_group",
    "sign_head",
    "sign_hello",
    "sign_welcome",
    "signature_holds",
    "token_hash",
    "verify_consistency",
    "verify_inclusion",
]
