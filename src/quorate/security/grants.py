"""Grants: the fold that knows who holds which rights, by token and by key.

Knows the bodies of the kinds that security owns and the ids of their events. Knows no clock (`now` comes in) and
never a token, only its hash. Invariants: G1 a grant's rights never change. G2 a grant that is unknown, expired,
revoked or used up gives nothing. G3 no grant gives what its issuer lacks (`may_issue`). G4 equal logs, equal bytes.
"""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from quorate.base.codec import pack, unpack
from quorate.base.errors import (
    CONFLICT,
    DENIED,
    INVALID,
    NOT_FOUND,
    RATE_LIMITED,
    UNAUTHENTICATED,
    QuorateError,
    demand,
    require,
)
from quorate.base.ids import HASH_BYTES, NO_ID, hash_id
from quorate.base.limits import MS_NS, TOKENS_MAX
from quorate.base.signing import KEY_BYTES
from quorate.model.bodies import GrantIssued, GrantRevoked, NodeJoined, RealmFounded
from quorate.model.events import Id
from quorate.model.operations import Principal
from quorate.security.roles import ROLES

Authorising = RealmFounded | GrantIssued | GrantRevoked | NodeJoined


class GrantRecord(Struct, frozen=True, array_like=True):
    """A grant as it stands. `key` empty: for whoever shows the token; `token_hash` zeros: there is none."""

    id: Id
    key: bytes
    token_hash: Id
    role: str
    rights: tuple[str, ...]
    expires_ms: int
    label: str
    once: bool = False
    used: bool = False
    revoked: bool = False
    frontier: tuple[tuple[bytes, int], ...] = ()


class _Snapshot(Struct, frozen=True, array_like=True):
    authority: bytes
    records: tuple[GrantRecord, ...]


def token_hash(token: str) -> Id:
    """What is kept of a token."""
    return hash_id(token.encode("utf-8", "surrogatepass"))


def needs(principal: Principal, right: str) -> None:
    """Raise 1005 unless the principal has the right. `public` needs none."""
    if right != "public" and right not in principal.rights:
        who = principal.name or principal.role
        raise QuorateError(DENIED, f"{who} ({principal.role}) lacks {right}", f"Use a token whose role has {right}")


def may_issue(principal: Principal, role: str, rights: Iterable[str] = ()) -> None:
    """Raise 1005 or 1002 unless the principal may give this role with these rights (none: the role's) to someone."""
    needs(principal, "grant:issue")
    require(role in ROLES, f"no role {role[:80]!r}: there are {', '.join(sorted(ROLES))}")
    for right in sorted(set(rights) or ROLES[role]):
        needs(principal, right)


class Grants:
    """Every grant of a realm."""

    __slots__ = ("_by_key", "_by_token", "_principals", "_records", "_tokens", "authority")

    def __init__(self) -> None:
        self.authority = b""
        self._clear()

    def apply(self, event_id: Id, body: Authorising) -> None:
        """Fold one admitted event. Raises 1000, 1002, 1004 or 1006 when it must not be admitted, changing nothing."""
        if isinstance(body, RealmFounded):
            require(not self._records, "the realm is founded already", CONFLICT)
            self.authority = body.authority
            self._add(GrantRecord(event_id, body.authority, NO_ID, "admin", (), 0, body.name))
        elif isinstance(body, GrantIssued):
            self._issue(event_id, body)
        elif isinstance(body, NodeJoined):
            self._join(event_id, body)
        else:
            self._revoke(body)

    def for_token(self, token: str, now: int) -> Principal:
        """Who shows this token. Raises 1003."""
        grant = self._by_token.get(token_hash(token))
        if grant is None:
            raise QuorateError(UNAUTHENTICATED, "unknown token")
        return self.principal(grant, now)

    def for_key(self, key: bytes, now: int) -> Principal:
        """Who holds this key: by its newest grant that stands. Raises 1003."""
        grants = self._by_key.get(key, ())
        if not grants:
            raise QuorateError(UNAUTHENTICATED, f"key {key[:4].hex()}… has no grant", "Join with a fresh token")
        standing = [grant for grant in grants if not self._refusal(self._records[grant], now)]
        return self.principal(standing[-1] if standing else grants[-1], now)

    def principal(self, grant: Id, now: int) -> Principal:
        """Who acts under this grant. Raises 1003."""
        record = self._records.get(grant)
        why = self._refusal(record, now) if record else "is unknown"
        if why:
            raise QuorateError(UNAUTHENTICATED, f"grant {grant[:4].hex()}… {why}", "Ask an admin for a fresh token")
        return self._principals[grant]

    def valid_event(self, grant: Id, actor: bytes, seq: int) -> bool:
        """May this event of the actor's chain count? Revoked: up to the frontier. Expiry is for the authority to judge.

        An event under somebody's token is in the authority's chain. What that has admitted stands, whatever is
        revoked later, unless a frontier names it."""
        record = self._records.get(grant)
        if record is None or actor not in (record.key, self.authority):
            return False
        if not record.revoked:
            return True
        last = dict(record.frontier).get(actor)
        return actor == self.authority if last is None else seq <= last

    def get(self, grant: Id) -> GrantRecord | None:
        """The grant as it stands."""
        return self._records.get(grant)

    def list(self) -> tuple[GrantRecord, ...]:
        """Every grant, oldest first."""
        return tuple(self._records.values())

    def snapshot(self) -> bytes:
        """Everything, in log order."""
        return pack(_Snapshot(self.authority, self.list()))

    def restore(self, data: bytes) -> None:
        """Take over a snapshot's state. Raises `ProtocolError` 1002."""
        saved = unpack(data, _Snapshot)
        demand(len({record.id for record in saved.records}) == len(saved.records), "a grant is there twice", INVALID)
        self._clear()
        self.authority = saved.authority
        for record in saved.records:
            self._add(record)

    def _clear(self) -> None:
        self._records: dict[Id, GrantRecord] = {}  # in log order
        self._principals: dict[Id, Principal] = {}
        self._by_key: dict[bytes, tuple[Id, ...]] = {}
        self._by_token: dict[Id, Id] = {}
        self._tokens = 0  # that still admit somebody, expired or not

    def _issue(self, id: Id, body: GrantIssued) -> None:
        require(id not in self._records, "this grant is issued already", CONFLICT)
        require(len(body.key) in (0, KEY_BYTES), "a key has 32 bytes")
        require(len(body.token_hash) in (0, HASH_BYTES), "a token's hash has 32 bytes")
        token = body.token_hash or NO_ID
        require(body.key or token != NO_ID, "a grant is for a key or a token")
        require(body.role in ROLES, f"no role {body.role[:80]!r}")
        require(body.expires_ms >= 0, "a grant expires at a time, or at 0: never")
        require(token not in self._by_token, "this token has a grant already", CONFLICT)
        require(token == NO_ID or self._tokens < TOKENS_MAX, f"{TOKENS_MAX} tokens: revoke some", RATE_LIMITED)
        rights = tuple(sorted(set(body.rights)))
        self._add(GrantRecord(id, body.key, token, body.role, rights, body.expires_ms, body.label, body.once))

    def _join(self, id: Id, body: NodeJoined) -> None:
        require(id not in self._records, "this node joined already", CONFLICT)
        require(len(body.node) == KEY_BYTES, "a node's key has 32 bytes")
        if body.join not in (b"", NO_ID):
            token = self._records.get(body.join)
            if token is None:
                raise QuorateError(NOT_FOUND, "the grant that the node joins by is unknown")
            require("node:register" in self._principals[token.id].rights, "this grant lets no node join", DENIED)
            require(not token.used, "this join token is used up", CONFLICT)
            require(not token.revoked, "this join token is revoked", CONFLICT)
            if token.once:
                self._put(replace(token, used=True))
        # A node has one grant: were an older one to stand, revoking the new one would revive it.
        for older in self._by_key.get(body.node, ()):
            record = self._records[older]
            if record.role == "node" and not record.revoked:
                self._put(replace(record, used=True))
        self._add(GrantRecord(id, body.node, NO_ID, "node", (), 0, body.name))

    def _revoke(self, body: GrantRevoked) -> None:
        record = self._records.get(body.grant)
        if record is None:
            raise QuorateError(NOT_FOUND, f"no grant {body.grant[:4].hex()}… to revoke")
        require(not record.revoked, "this grant is revoked already", CONFLICT)
        require(record.id != next(iter(self._records)), "the realm's own grant cannot be revoked", DENIED)
        self._put(replace(record, revoked=True, frontier=tuple(sorted(body.frontier))))

    def _add(self, record: GrantRecord) -> None:
        rights = frozenset(record.rights) or ROLES.get(record.role, frozenset())
        self._principals[record.id] = Principal(record.id, record.role, rights, record.label, record.key)
        if record.key:
            self._by_key[record.key] = (*self._by_key.get(record.key, ()), record.id)
        if record.token_hash != NO_ID:
            self._by_token[record.token_hash] = record.id
        self._tokens += _admits(record)
        self._records[record.id] = record

    def _put(self, record: GrantRecord) -> None:
        """The same grant, changed."""
        self._tokens += _admits(record) - _admits(self._records[record.id])
        self._records[record.id] = record

    def _refusal(self, record: GrantRecord, now: int) -> str:
        if record.revoked:
            return "is revoked"
        if record.used:
            return "is used up" if record.once else "was replaced by a newer one"
        if record.expires_ms and now >= record.expires_ms * MS_NS:
            return "has expired"
        return ""


def _admits(record: GrantRecord) -> bool:
    return record.token_hash != NO_ID and not record.used and not record.revoked
