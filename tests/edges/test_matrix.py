"""Operation x role, generated from the tables and walked over REST: allowed, or 1005; without a token 1003."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from live import Live, refused
from quorate.model import Operation
from quorate.security import ROLES
from quorate.services.coordinator import OPERATIONS

PEOPLE = sorted(set(ROLES) - {"node", "join"})
NOBODY = "0" * 32
ROUTES = [
    pytest.param(operation, *place, id=f"{operation.name} {place[0]} {place[1]}")
    for operation in OPERATIONS
    if operation.rest
    for place in (operation.rest, *operation.aliases)
]


def knock(swarm: Live, operation: Operation[Any, Any], method: str, path: str, token: str) -> httpx.Response:
    """Ask with input that says nothing useful: a right is checked before anything is done, and does not do anything."""
    path = path.replace("{id}", NOBODY * (2 if "/nodes/" in path or "/blobs/" in path or "/grants/" in path else 1))
    body: dict[str, Any] = {}
    if method in ("POST", "PUT") and not operation.raw_in:
        body = {"json": REQUIRED.get(operation.name, {})}
    return swarm.request(method, path, token=token, **body)


REQUIRED: dict[str, Any] = {  # a body that is well formed, and of which nothing comes
    "job_submit": {"name": "", "tasks": []},
    "workflow_run": {"name": "", "steps": []},
    "agent_register": {"name": ""},
    "event_emit": {"type": ""},
    "event_offer": {"events": []},
    "grant_issue": {"role": "", "label": ""},
    "node_set": {"state": "online"},
    "node_register": {"label": "\n"},
}


@pytest.fixture(scope="module")
def tokens(swarm: Live) -> dict[str, str]:
    return {role: swarm.grant(role)["token"] for role in PEOPLE}


@pytest.mark.parametrize(("operation", "method", "path"), ROUTES)
def test_a_role_may_what_the_table_says_and_nothing_else(
    swarm: Live, tokens: dict[str, str], operation: Operation[Any, Any], method: str, path: str
) -> None:
    for role in PEOPLE:
        answer = knock(swarm, operation, method, path, tokens[role])
        if operation.right == "public" or operation.right in ROLES[role]:
            code = None if answer.is_success else answer.json()["code"]
            assert code in (None, 1000, 1002, 1007), f"{role}: {answer.status_code} {answer.text}"
        else:
            assert operation.right in refused(answer, 1005, 403), role


@pytest.mark.parametrize(("operation", "method", "path"), ROUTES)
def test_without_a_token_nothing_but_what_is_public(
    swarm: Live, operation: Operation[Any, Any], method: str, path: str
) -> None:
    answer = knock(swarm, operation, method, path, "")
    if operation.right == "public":
        assert method == "GET" and answer.status_code == 200  # nobody writes without a name
    else:
        refused(answer, 1003, 401)
        assert answer.headers["www-authenticate"] == "Bearer"


def test_every_right_is_in_some_role_and_the_matrix_knows_all() -> None:
    assert {operation.right for operation in OPERATIONS} - {"public"} <= ROLES["admin"]
    assert any(operation.right not in ROLES["observer"] for operation in OPERATIONS)
    writes = [operation for operation in OPERATIONS if operation.rest and operation.rest[0] != "GET"]
    assert all(operation.right not in ROLES["observer"] | {"public"} for operation in writes)


def requests_of_streams(token: str) -> Iterator[dict[str, str]]:
    yield {}
    yield {"authorization": "Basic YTpi"}
    yield {"authorization": "Bearer"}
    yield {"authorization": "Bearer \x80"}
    yield {"authorization": f"Bearer {token}x"}


@pytest.mark.parametrize("path", ["/api/v1/events/stream", "/mcp", "/api/v1/status"])
def test_no_door_opens_without_a_token_that_holds(swarm: Live, path: str) -> None:
    for headers in requests_of_streams(swarm.token):
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        with httpx.Client() as nobody:
            refused(nobody.get(swarm.url + path, headers=raw), 1003, 401)


def test_a_role_issues_no_rights_that_it_lacks(swarm: Live) -> None:
    operator = swarm.grant("operator")["token"]
    answer = swarm.request("POST", "/grants", token=operator, json={"role": "admin", "label": "mine"})
    refused(answer, 1005, 403)
    assert swarm.request("POST", "/grants", token=operator, json={"role": "user", "label": "x"}).status_code == 201
