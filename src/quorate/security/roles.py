"""Roles: the one table of who may do what. A role is a union of rights; a right is written `thing:verb`.

The rights of user, node_operator, reviewer, moderator and admin start from open-swarm section 5.3; the others
are what Quorate's own operations need. Invariants: R1 `node:link` (speak as a node) is in no role but `node`, which
only a key that joined has. R2 `admin` has every other right. R3 what `observer` reads is in every role of a person.
"""

from typing import Final

_READING = frozenset(
    {"task:read", "swarm:read", "node:read", "agent:read", "event:read", "blob:read", "system:read"},
)
_USING = _READING | {
    "task:create",
    "task:update",
    "task:cancel",
    "swarm:create",
    "token:spend",
    "agent:register",
    "event:emit",
    "blob:write",
}
_HOSTING = _READING | {"node:register", "node:manage", "resource:contribute", "token:earn"}
_REVIEWING = _READING | {"quality:review", "peer:evaluate", "consensus:vote", "token:earn_review"}
_MODERATING = _READING | {"user:moderate", "content:moderate", "node:investigate", "system:alert"}
_OPERATING = _USING | _HOSTING | {"agent:manage", "grant:read", "grant:issue", "node:investigate", "system:alert"}
_GOVERNING = frozenset(
    {
        "system:configure",
        "network:manage",
        "economics:adjust",
        "security:investigate",
        "grant:read",
        "grant:issue",
        "grant:revoke",
    }
)
_LINKING = frozenset(
    {
        "node:link",
        "node:read",
        "task:read",
        "event:read",
        "blob:read",
        "blob:write",
        "resource:contribute",
        "token:earn",
    }
)

ROLES: Final[dict[str, frozenset[str]]] = {
    "admin": _GOVERNING | _OPERATING | _REVIEWING | _MODERATING,
    "operator": _OPERATING,
    "moderator": _MODERATING,
    "reviewer": _REVIEWING,
    "node_operator": _HOSTING,
    "user": _USING,
    "observer": _READING,
    "node": _LINKING,
    "join": frozenset({"node:register"}),
}
"""Rights by role. `node` and `join` are of machines: a key that joined, and the token with which one may."""

RIGHTS: Final[frozenset[str]] = frozenset().union(*ROLES.values())
"""Every right that some role has."""
