"""How answers look whatever was asked: keys that make a write once, encodings, origins, request ids, rates."""

import gzip
import json
from pathlib import Path
from typing import Any

import brotli
import httpx
import msgspec
import pytest

from live import Live, bearer, refused
from processes import Processes


def write(swarm: Live, method: str, path: str, key: str, body: Any = None) -> httpx.Response:
    return swarm.request(method, path, json=body, headers={"idempotency-key": key})


JOB = {"name": "once", "tasks": [{"name": "a", "executor": "noop", "input": 1}]}
WRITES = [
    ("POST", "/jobs", JOB, JOB | {"name": "twice"}),
    ("POST", "/tasks", {"title": "once", "tags": ["x"]}, {"title": "once", "tags": ["y"]}),
    ("POST", "/tasks", {"executor": "noop", "input": 1}, {"executor": "noop", "input": 2}),
    ("POST", "/orchestration", {"name": "w", "steps": JOB["tasks"]}, {"name": "w", "steps": []}),
    ("POST", "/agents", {"name": "once"}, {"name": "other"}),
    ("POST", "/events", {"type": "once", "data": 1}, {"type": "once", "data": 2}),
    ("POST", "/grants", {"role": "user", "label": "k", "ttlMs": 60000}, {"role": "observer", "label": "k"}),
    ("POST", "/nodes/register", {"label": "once"}, {"label": "other"}),
]


@pytest.mark.parametrize(("method", "path", "body", "other"), WRITES, ids=lambda value: str(value)[:20])
def test_the_same_key_gives_the_same_answer_once_and_refuses_another_body(
    swarm: Live, method: str, path: str, body: Any, other: Any
) -> None:
    key = f"{method} {path} {json.dumps(body)}"[:100]
    first = write(swarm, method, path, key, body)
    position = swarm.get("/status")["position"]
    again = write(swarm, method, path, key, body)
    assert first.status_code == again.status_code == 201, again.text
    assert first.json() == again.json()
    if path not in ("/jobs", "/tasks", "/orchestration"):  # a job goes on by itself and writes events
        assert swarm.get("/status")["position"] == position
    refused(write(swarm, method, path, key, other), 1006, 409)
    refused(write(swarm, "POST", "/events", key, {"type": "another operation"}), 1006, 409)


def test_what_ends_a_thing_can_be_repeated_too(swarm: Live) -> None:
    task = swarm.post("/tasks", {"title": "short-lived"})["id"]
    assert write(swarm, "PUT", f"/tasks/{task}", "put", {"addTags": ["a"]}).json()["tags"] == ["a"]
    assert write(swarm, "PUT", f"/tasks/{task}", "put", {"addTags": ["a"]}).json()["tags"] == ["a"]
    ends = [("DELETE", f"/tasks/{task}"), ("DELETE", f"/api/tasks/{task}")]
    ends.append(("DELETE", f"/agents/{swarm.post('/agents', {'name': 'gone'})['id']}"))
    ends.append(("DELETE", f"/grants/{swarm.grant('user')['id']}"))
    waiting = {"name": "waits", "tasks": [{"name": "a", "executor": "noop", "needs": ["what nobody has"]}]}
    ends.append(("DELETE", f"/jobs/{swarm.post('/jobs', waiting)['jobId']}"))
    for method, path in ends:
        answers = [write(swarm, method, path, path) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200], answers[1].text
        assert answers[0].json() == answers[1].json()
    refused(swarm.request("GET", f"/tasks/{task}"), 1000, 404)
    refused(swarm.request("DELETE", ends[-1][1]), 1006, 409)  # without the key it is another request


def test_keys_of_two_callers_do_not_meet_and_a_key_has_a_limit(swarm: Live) -> None:
    body = {"type": "mine", "data": None}
    mine = write(swarm, "POST", "/events", "shared", body).json()
    headers = {"idempotency-key": "shared"}
    theirs = swarm.request("POST", "/events", token=swarm.grant("user")["token"], json=body, headers=headers).json()
    assert mine["event"] != theirs["event"]
    refused(write(swarm, "POST", "/events", "k" * 129, body), 1007, 413)


def test_keys_outlive_a_restart_and_a_kill(processes: Processes, tmp_path: Path) -> None:
    live = Live(processes, tmp_path / "data")
    firsts = {i: write(live, m, p, f"key {i}", b).json() for i, (m, p, b, _) in enumerate(WRITES)}
    for kill in (False, True):
        live.restart(kill=kill)
        for i, (method, path, body, other) in enumerate(WRITES):
            assert write(live, method, path, f"key {i}", body).json() == firsts[i], (path, kill)
            refused(write(live, method, path, f"key {i}", other), 1006, 409)
    token = firsts[6]["token"]
    assert live.request("GET", "/tasks", token=token).status_code == 200  # the secret is the one that was granted
    live.verify_log()


def test_json_and_msgpack_by_accept(swarm: Live) -> None:
    plain = swarm.request("GET", "/nodes")
    packed = swarm.request("GET", "/nodes", headers={"accept": "application/msgpack"})
    assert plain.headers["content-type"].startswith("application/json")
    assert packed.headers["content-type"] == "application/msgpack"
    first, second = plain.json()["items"], msgspec.msgpack.decode(packed.content)["items"]
    assert [(n["id"], n["joinedMs"]) for n in first] == [(n["id"], n["joinedMs"]) for n in second]
    error = swarm.request("GET", "/tasks/zz", headers={"accept": "application/msgpack"})
    assert msgspec.msgpack.decode(error.content)["code"] == 1002


@pytest.mark.parametrize(("name", "open_"), [("gzip", gzip.decompress), ("br", brotli.decompress)])
def test_long_answers_are_compressed_as_the_caller_can_read(swarm: Live, name: str, open_: Any) -> None:
    with (
        httpx.Client(headers=swarm.as_admin) as http,
        http.stream("GET", f"{swarm.url}/docs/openapi.json", headers={"accept-encoding": name}) as response,
    ):
        assert response.headers["content-encoding"] == name
        assert json.loads(open_(b"".join(response.iter_raw())))["info"]["title"] == "Quorate"
    short = swarm.request("GET", "/version", headers={"accept-encoding": name})
    assert "content-encoding" not in short.headers


def test_only_origins_that_were_named_may_read(swarm: Live) -> None:
    ours = {"origin": "https://elsewhere.example", "access-control-request-method": "POST"}
    ours["access-control-request-headers"] = "authorization,content-type,idempotency-key"
    preflight = swarm.request("OPTIONS", "/tasks", headers=ours)
    assert preflight.is_success and preflight.headers["access-control-allow-origin"] == ours["origin"]
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    answer = swarm.request("GET", "/status", headers={"origin": ours["origin"]})
    assert answer.headers["access-control-allow-origin"] == ours["origin"]
    stranger = swarm.request("GET", "/status", headers={"origin": "https://stranger.example"})
    assert "access-control-allow-origin" not in stranger.headers


def test_a_request_has_an_id_the_callers_if_it_is_sane(swarm: Live) -> None:
    mine = {"x-request-id": "order-66"}
    assert swarm.request("GET", "/status", headers=mine).headers["x-request-id"] == "order-66"
    wrong = swarm.request("GET", "/tasks/zz", headers=mine)
    assert wrong.headers["x-request-id"] == wrong.json()["requestId"] == "order-66"
    for insane in ("x" * 65, "caf\u00e9"):
        headers = [(b"x-request-id", insane.encode())]
        given = swarm.http.get("/api/v1/status", headers=headers).headers["x-request-id"]
        assert given and given != insane
    assert (
        swarm.request("GET", "/status").headers["x-request-id"]
        != swarm.request("GET", "/status").headers["x-request-id"]
    )


def test_a_token_that_asks_too_often_waits_as_told_and_the_others_do_not(processes: Processes, tmp_path: Path) -> None:
    live = Live(processes, tmp_path / "data", "--rate", "4")
    other = live.grant("observer")["token"]
    with httpx.Client(base_url=live.url, headers=bearer(live.token)) as http:
        answers = [http.get("/api/v1/version/../status") for _ in range(60)]
        late = [answer for answer in answers if answer.status_code == 429]
        assert len(late) >= 20  # 20 at once, and what a few seconds more allow
        refused(late[0], 1004, 429)
        assert late[0].headers["retry-after"] == "1"
    assert live.request("GET", "/status", token=other).status_code == 200
    assert live.request("GET", "/health", token="").status_code == 200
