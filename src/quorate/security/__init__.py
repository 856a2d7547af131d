"""Who may do what, and how a stranger checks it: chains, the log's tree and heads, receipts, grants, the handshake."""

from quorate.security.chain import BadEvent, Chain, Chains, open_event, open_head, sign_group, signature_holds

__all__ = [
    "BadEvent",
    "Chain",
    "Chains",
    "open_event",
    "open_head",
    "sign_group",
    "signature_holds",
]
