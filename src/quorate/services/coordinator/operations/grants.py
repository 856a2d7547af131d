"""Grants: tokens for people and programs, listed and revoked."""

from msgspec import Struct

from quorate.base.errors import invariant, require
from quorate.base.ids import HASH_BYTES, hash_id, parse_id
from quorate.base.limits import NAME_MAX_CHARS
from quorate.base.names import is_clean
from quorate.model import Operation
from quorate.security import ROLES, GrantRecord
from quorate.services.coordinator.context import Call
from quorate.services.coordinator.messages import IssueGrant, RevokeGrant

TOKEN_BYTES = 24


class GrantNew(Struct, rename="camel", forbid_unknown_fields=True):
    """`ttlMs` 0: does not expire."""

    role: str
    label: str
    ttl_ms: int = 0


class GrantIssuedOut(Struct, rename="camel"):
    """The token is shown this once; the log holds only its hash."""

    id: str
    token: str
    role: str
    label: str
    expires_ms: int


class GrantView(Struct, rename="camel"):
    id: str
    role: str
    label: str
    key: str
    expires_ms: int
    revoked: bool
    used: bool


class GrantPage(Struct, rename="camel"):
    items: list[GrantView]


class GrantRef(Struct, rename="camel", forbid_unknown_fields=True):
    id: str


class Nothing(Struct, rename="camel", forbid_unknown_fields=True):
    """No input."""


async def issue_grant(call: Call, given: GrantNew) -> GrantIssuedOut:
    """Issue a token with a role; it gives no right that its issuer lacks."""
    require(given.role in ROLES, f"role {given.role[:40]!r} is none of {', '.join(sorted(ROLES))}")
    label_fits = 0 < len(given.label) <= NAME_MAX_CHARS and is_clean(given.label)
    require(label_fits, "the label is empty, long or unprintable")
    require(given.ttl_ms >= 0, "ttlMs is not negative")
    token = f"{given.role}-" + call.new_secret(TOKEN_BYTES).hex()
    expires_ms = call.now // 1_000_000 + given.ttl_ms if given.ttl_ms else 0
    return await issue(call, token, IssueGrant(hash_id(token.encode()), given.role, expires_ms, given.label))


async def issue(call: Call, token: str, command: IssueGrant) -> GrantIssuedOut:
    """Have a token's grant written; what it became (a repeated request: the first time)."""
    id = (await call.write(command)).receipts[0].event
    record = call.coordinator.machine.realm.grants.get(id)
    invariant(record is not None, "a grant that was issued is known")
    assert record is not None
    return GrantIssuedOut(id.hex(), token, record.role, record.label, record.expires_ms)


async def list_grants(call: Call, given: Nothing) -> GrantPage:
    """Every grant: role, label, whether it was revoked or used up."""
    return GrantPage([_view(record) for record in call.coordinator.machine.realm.grants.list()])


def _view(record: GrantRecord) -> GrantView:
    return GrantView(
        record.id.hex(), record.role, record.label, record.key.hex(), record.expires_ms, record.revoked, record.used
    )


async def revoke_grant(call: Call, given: GrantRef) -> GrantView:
    """Revoke a grant: its token ends at once, its key's later events are not admitted."""
    grant = parse_id(given.id, HASH_BYTES, "grant id")
    await call.ask(RevokeGrant(grant))
    record = call.coordinator.machine.realm.grants.get(grant)
    invariant(record is not None, "a grant that was revoked is known")
    assert record is not None
    return _view(record)


OPERATIONS = (
    Operation(
        "grant_issue",
        GrantNew,
        GrantIssuedOut,
        "grant:issue",
        True,
        issue_grant,
        ("POST", "/grants"),
        (),
        "grant issue",
        (),
        201,
    ),
    Operation(
        "grant_list",
        Nothing,
        GrantPage,
        "grant:read",
        True,
        list_grants,
        ("GET", "/grants"),
        ("grant_list",),
        "grant list",
    ),
    Operation(
        "grant_revoke",
        GrantRef,
        GrantView,
        "grant:revoke",
        True,
        revoke_grant,
        ("DELETE", "/grants/{id}"),
        (),
        "grant revoke",
    ),
)
