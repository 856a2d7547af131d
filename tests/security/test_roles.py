"""The role table: what the sources list is in it, and its invariants hold."""

import re

from quorate.security import RIGHTS, ROLES

OPEN_SWARM = {
    "user": "task:create task:read swarm:create swarm:read token:spend",
    "node_operator": "node:register node:manage resource:contribute token:earn",
    "reviewer": "quality:review peer:evaluate consensus:vote token:earn_review",
    "moderator": "user:moderate content:moderate node:investigate system:alert",
    "admin": "system:configure network:manage economics:adjust security:investigate",
}
OURS = """task:create task:read task:update task:cancel swarm:create swarm:read token:spend node:read node:register
node:manage node:link resource:contribute token:earn agent:read agent:register agent:manage event:read event:emit
blob:read blob:write grant:read grant:issue grant:revoke quality:review peer:evaluate consensus:vote token:earn_review
user:moderate content:moderate node:investigate system:alert system:read system:configure network:manage
economics:adjust security:investigate"""
PEOPLE = set(ROLES) - {"node", "join"}


def test_the_roles_have_what_open_swarm_gives_them() -> None:
    for role, rights in OPEN_SWARM.items():
        assert set(rights.split()) <= ROLES[role]


def test_the_rights_are_exactly_those_named() -> None:
    assert set(OURS.split()) == RIGHTS
    assert all(re.fullmatch(r"[a-z]+:[a-z_]+", right) for right in RIGHTS)


def test_only_a_node_links_and_a_join_token_only_registers() -> None:
    assert [role for role, rights in ROLES.items() if "node:link" in rights] == ["node"]
    assert ROLES["join"] == {"node:register"}
    assert ROLES["admin"] == RIGHTS - {"node:link"}


def test_an_observer_only_reads_and_everybody_reads_what_it_does() -> None:
    assert all(right.endswith(":read") for right in ROLES["observer"])
    assert all(ROLES["observer"] <= ROLES[role] for role in PEOPLE)
    assert "grant:read" not in ROLES["observer"] | ROLES["user"]


def test_only_an_admin_revokes() -> None:
    assert [role for role, rights in ROLES.items() if "grant:revoke" in rights] == ["admin"]
    assert [role for role, rights in ROLES.items() if "grant:issue" in rights] == ["admin", "operator"]
