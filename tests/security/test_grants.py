"""Grants: what gives rights, what ends them, and that a refold gives equal bytes."""

import pytest

from quorate.base.codec import pack, unpack
from quorate.base.errors import ProtocolError, QuorateError
from quorate.base.ids import NO_ID, hash_id
from quorate.base.limits import TOKENS_MAX
from quorate.model import GrantIssued, GrantRevoked, NodeJoined, RealmFounded
from quorate.security import ROLES, Grants, may_issue, needs, token_hash

NOW = 1_700_000_000_000 * 1_000_000
AUTHORITY, NODE, USER = b"A" * 32, b"N" * 32, b"U" * 32
ROOT = hash_id(b"root")


def founded() -> Grants:
    grants = Grants()
    grants.apply(ROOT, RealmFounded(AUTHORITY, b"n" * 16, "home"))
    return grants


def issue(grants: Grants, token: str = "", role: str = "user", key: bytes = b"", **more: object) -> bytes:
    fields: dict[str, object] = {"rights": (), "expires_ms": 0, "label": "a label", **more}
    id = hash_id(b"grant" + token.encode() + key + role.encode())
    grants.apply(id, GrantIssued(key, token_hash(token) if token else NO_ID, role, **fields))  # type: ignore[arg-type]
    return id


def join(grants: Grants, by: bytes = NO_ID, node: bytes = NODE, mark: bytes = b"") -> bytes:
    id = hash_id(b"joined" + node + by + mark)
    grants.apply(id, NodeJoined(node, "n1", by, ("cpu",), 4))
    return id


def refused(code: int, match: str = "") -> "pytest.RaisesExc[QuorateError]":
    return pytest.raises(QuorateError, match=rf"\[{code} .*{match}")


def test_the_founding_event_is_the_authoritys_grant() -> None:
    grants = founded()
    principal = grants.for_key(AUTHORITY, NOW)
    assert (principal.grant, principal.role, principal.key) == (ROOT, "admin", AUTHORITY)
    assert principal.rights == ROLES["admin"]
    assert grants.valid_event(ROOT, AUTHORITY, 10**9)
    with refused(1005, "cannot be revoked"):
        grants.apply(hash_id(b"x"), GrantRevoked(ROOT, ()))
    with refused(1006):
        grants.apply(hash_id(b"y"), RealmFounded(USER, b"n" * 16, "again"))
    assert grants.authority == AUTHORITY


def test_a_token_gives_its_roles_rights_or_the_narrower_ones_it_names() -> None:
    grants = founded()
    id = issue(grants, "t1")
    principal = grants.for_token("t1", NOW)
    assert (principal.grant, principal.role, principal.name, principal.key) == (id, "user", "a label", b"")
    assert principal.rights == ROLES["user"]
    assert grants.principal(id, NOW) == principal
    issue(grants, "t2", rights=("task:read",))
    assert grants.for_token("t2", NOW).rights == {"task:read"}
    issue(grants, key=USER, role="observer")
    assert grants.for_key(USER, NOW).rights == ROLES["observer"]


def test_unknown_expired_and_revoked_tokens_give_nothing() -> None:
    grants = founded()
    id = issue(grants, "t", expires_ms=1_700_000_000_001)
    for wrong in ("", "T", "t ", "\x00", "\ud800"):
        with refused(1003, "unknown"):
            grants.for_token(wrong, NOW)
    grants.for_token("t", NOW + 999_999)
    with refused(1003, "expired"):
        grants.for_token("t", NOW + 1_000_000)
    grants.apply(hash_id(b"r"), GrantRevoked(id, ()))
    with refused(1003, "revoked"):
        grants.for_token("t", NOW)
    with refused(1003, "unknown"):
        grants.principal(hash_id(b"nothing"), NOW)
    with refused(1003, "no grant"):
        grants.for_key(USER, NOW)


def test_a_join_token_admits_one_node_once() -> None:
    grants = founded()
    once = issue(grants, "once", role="join", once=True)
    many = issue(grants, "many", role="join")
    assert grants.for_token("once", NOW).rights == {"node:register"}
    node = join(grants, once)
    assert grants.for_key(NODE, NOW).grant == node
    assert grants.for_key(NODE, NOW).rights == ROLES["node"]
    with refused(1003, "used up"):
        grants.for_token("once", NOW)
    before = grants.snapshot()
    with refused(1006, "used up"):
        join(grants, once, USER)
    assert grants.snapshot() == before
    join(grants, many, USER)
    join(grants, many, b"V" * 32)
    grants.for_token("many", NOW)


def test_a_node_joins_by_a_grant_that_allows_it() -> None:
    grants = founded()
    user = issue(grants, "u")
    gone = issue(grants, "g", role="join")
    grants.apply(hash_id(b"r"), GrantRevoked(gone, ()))
    with refused(1005):
        join(grants, user)
    with refused(1000):
        join(grants, hash_id(b"nothing"))
    with refused(1006):
        join(grants, gone)
    with refused(1002):
        join(grants, NO_ID, b"short")


def test_a_revoked_node_is_out_even_if_it_had_joined_twice_and_may_join_anew() -> None:
    grants = founded()
    first, second = join(grants), join(grants, mark=b"2")
    assert grants.for_key(NODE, NOW).grant == second
    with refused(1003, "newer"):
        grants.principal(first, NOW)
    grants.apply(hash_id(b"r"), GrantRevoked(second, ((NODE, 7),)))
    with refused(1003, "revoked"):
        grants.for_key(NODE, NOW)
    third = join(grants, mark=b"3")
    assert grants.for_key(NODE, NOW).grant == third


def test_a_key_acts_by_its_newest_grant_that_stands() -> None:
    grants = founded()
    issue(grants, key=USER, role="observer")
    admin = issue(grants, key=USER, role="admin", expires_ms=1_700_000_000_001)
    assert grants.for_key(USER, NOW).grant == admin
    assert grants.for_key(USER, NOW + 10**9).role == "observer"


def test_late_events_count_up_to_the_frontier() -> None:
    grants = founded()
    own = issue(grants, key=USER)
    token = issue(grants, "t")
    assert grants.valid_event(own, USER, 5)
    assert grants.valid_event(own, AUTHORITY, 5)
    assert not grants.valid_event(own, NODE, 5)
    assert not grants.valid_event(token, USER, 5)
    assert grants.valid_event(token, AUTHORITY, 5)
    assert not grants.valid_event(hash_id(b"nothing"), AUTHORITY, 5)
    grants.apply(hash_id(b"r1"), GrantRevoked(own, ((USER, 5),)))
    assert [grants.valid_event(own, USER, seq) for seq in (4, 5, 6)] == [True, True, False]
    assert grants.valid_event(own, AUTHORITY, 10)
    grants.apply(hash_id(b"r2"), GrantRevoked(token, ((AUTHORITY, 9),)))
    assert [grants.valid_event(token, AUTHORITY, seq) for seq in (9, 10)] == [True, False]
    other = issue(grants, key=NODE)
    grants.apply(hash_id(b"r3"), GrantRevoked(other, ()))
    assert not grants.valid_event(other, NODE, 1)


def test_what_must_not_be_admitted_is_refused_and_changes_nothing() -> None:
    grants = founded()
    id = issue(grants, "t")
    before = grants.snapshot()
    bad = [
        (1006, GrantIssued(b"", token_hash("t"), "user", (), 0, "")),
        (1002, GrantIssued(b"", NO_ID, "user", (), 0, "")),
        (1002, GrantIssued(b"short", NO_ID, "user", (), 0, "")),
        (1002, GrantIssued(b"", b"short", "user", (), 0, "")),
        (1002, GrantIssued(USER, NO_ID, "king", (), 0, "")),
        (1002, GrantIssued(USER, NO_ID, "user", (), -1, "")),
        (1000, GrantRevoked(hash_id(b"nothing"), ())),
    ]
    for code, body in bad:
        with refused(code):
            grants.apply(hash_id(b"new"), body)
        assert grants.snapshot() == before
    with refused(1006):
        grants.apply(id, GrantIssued(USER, NO_ID, "user", (), 0, ""))
    grants.apply(hash_id(b"r"), GrantRevoked(id, ()))
    with refused(1006):
        grants.apply(hash_id(b"r2"), GrantRevoked(id, ()))


def test_tokens_are_bounded_and_ending_one_makes_room() -> None:
    grants = founded()
    for number in range(TOKENS_MAX):
        grants.apply(b"%032d" % number, GrantIssued(b"", b"%032d" % number, "join", (), 0, "", number == 0))
    with refused(1004):
        issue(grants, "more")
    issue(grants, key=USER)
    join(grants, b"%032d" % 0)
    issue(grants, "more")
    with refused(1004):
        issue(grants, "still more")
    grants.apply(hash_id(b"r"), GrantRevoked(b"%032d" % 1, ()))
    issue(grants, "still more")


def test_a_right_that_is_lacking_is_named() -> None:
    grants = founded()
    issue(grants, "o", role="observer", label="eve")
    observer = grants.for_token("o", NOW)
    needs(observer, "task:read")
    needs(observer, "public")
    with refused(1005, "eve .*task:create"):
        needs(observer, "task:create")


def test_nobody_gives_what_they_lack() -> None:
    grants = founded()
    admin = grants.for_key(AUTHORITY, NOW)
    issue(grants, "op", role="operator")
    operator = grants.for_token("op", NOW)
    for role in sorted(set(ROLES) - {"node"}):
        may_issue(admin, role)
    for role in ("user", "join", "observer", "node_operator", "operator"):
        may_issue(operator, role)
    may_issue(operator, "admin", ["task:read"])
    for role, rights in (("admin", ()), ("moderator", ()), ("user", ("grant:revoke",)), ("node", ())):
        with refused(1005):
            may_issue(operator, role, rights)
    with refused(1005, "node:link"):
        may_issue(admin, "node")
    with refused(1002, "no role"):
        may_issue(admin, "king", ["task:read"])
    issue(grants, "u")
    with refused(1005, "grant:issue"):
        may_issue(grants.for_token("u", NOW), "user")


def test_a_snapshot_is_equal_bytes_and_goes_on() -> None:
    grants, again = founded(), founded()
    for fold in (grants, again):
        once = issue(fold, "once", role="join", once=True)
        join(fold, once)
        join(fold, mark=b"2")
        issue(fold, "t", rights=("task:read", "blob:read") if fold is grants else ("blob:read", "task:read"))
        gone = issue(fold, key=USER, role="observer")
        front = ((USER, 3), (NODE, 2))
        fold.apply(hash_id(b"r"), GrantRevoked(gone, front if fold is grants else front[::-1]))
    assert grants.snapshot() == again.snapshot()
    other = Grants()
    other.restore(grants.snapshot())
    assert other.snapshot() == grants.snapshot()
    assert other.list() == grants.list()
    assert other.list()[0].label == "home"
    assert other.authority == AUTHORITY
    for fold in (grants, other):
        with refused(1003, "used up"):
            fold.for_token("once", NOW)
        assert fold.for_token("t", NOW).rights == {"task:read", "blob:read"}
        assert fold.for_key(NODE, NOW).role == "node"
        assert [fold.valid_event(gone, USER, seq) for seq in (3, 4)] == [True, False]
        assert fold._tokens == 1
    with pytest.raises(ProtocolError):
        other.restore(b"\x92\xc4\x00")
    authority, records = unpack(grants.snapshot(), tuple)
    with pytest.raises(ProtocolError):
        other.restore(pack((authority, [records[0], records[0]])))
