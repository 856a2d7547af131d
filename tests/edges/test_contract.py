"""The sources' own examples, walked: every verb and alias answers as stated, in camelCase, with the known states."""

import json
import re
from typing import Any

import pytest
from websockets.sync.client import connect

from live import Live, refused

STATES = {"queued", "assigned", "executing", "validating", "completed", "failed", "cancelled"}
CAMEL = re.compile(r"[a-z][a-zA-Z0-9]*\Z")


def keys_of(value: Any) -> set[str]:
    """Every key of our own in an answer. What callers name themselves (fields, metadata, counts) is theirs."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            found.add(key)
            if key not in {"fields", "metadata", "tasks", "jobs", "body", "data", "performance"}:
                found |= keys_of(inner)
    elif isinstance(value, list):
        for inner in value:
            found |= keys_of(inner)
    return found


def ask(swarm: Live, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    """One verb of one route: it answers as stated, and in camelCase."""
    response = swarm.request(method, path, json=body) if body is not None else swarm.request(method, path)
    assert response.status_code == status, f"{method} {path}: {response.status_code} {response.text}"
    assert response.headers["x-request-id"]
    answer = response.json()
    wrong = {key for key in keys_of(answer) if not CAMEL.match(key)}
    assert not wrong, f"{method} {path}: {wrong}"
    return answer


def test_agents_as_agent_framework_states_them(swarm: Live) -> None:
    made = ask(swarm, "POST", "/agents", {"name": "director", "type": "lead", "capabilities": ["plan"]}, 201)
    assert (made["name"], made["type"], made["capabilities"]) == ("director", "lead", ["plan"])
    assert made["id"] in {agent["id"] for agent in ask(swarm, "GET", "/agents")["items"]}
    assert ask(swarm, "GET", f"/agents/{made['id']}")["status"] == "idle"
    assert ask(swarm, "PUT", f"/agents/{made['id']}", {"status": "busy"})["status"] == "busy"
    assert ask(swarm, "GET", f"/agents/{made['id']}")["status"] == "busy"
    assert ask(swarm, "DELETE", f"/agents/{made['id']}") == {"id": made["id"], "status": "removed"}
    refused(swarm.request("GET", f"/agents/{made['id']}"), 1000, 404)


def test_tasks_as_agent_framework_states_them(swarm: Live) -> None:
    made = ask(swarm, "POST", "/tasks", {"title": "review the gateway"}, 201)
    assert made["status"] == "queued"
    assert made["id"] in {task["id"] for task in ask(swarm, "GET", "/tasks")["items"]}
    assert ask(swarm, "GET", f"/tasks/{made['id']}")["state"] == "queued"
    assert ask(swarm, "DELETE", f"/tasks/{made['id']}")["state"] == "cancelled"
    assert ask(swarm, "GET", f"/tasks/{made['id']}")["state"] == "cancelled"  # /api/v1 cancels, no more
    refused(swarm.request("DELETE", f"/tasks/{made['id']}"), 1006, 409)


def test_orchestration_runs_a_workflow_in_order_and_lists_it(swarm: Live) -> None:
    steps = [{"name": step, "executor": "noop", "input": step} for step in ("build", "test", "ship")]
    made = ask(swarm, "POST", "/orchestration", {"name": "release", "steps": steps}, 201)
    assert swarm.done(made["jobId"])["state"] == "completed"
    assert made["jobId"] in {job["id"] for job in ask(swarm, "GET", "/orchestration")["items"]}
    ended = {step: ask(swarm, "GET", f"/tasks/{id}") for step, id in made["tasks"].items()}
    assert ended["test"]["deps"] == [made["tasks"]["build"]]
    assert ended["build"]["settledAt"] < ended["test"]["settledAt"] < ended["ship"]["settledAt"]  # log positions
    together = {"name": "all", "steps": steps, "strategy": "parallel"}
    at_once = ask(swarm, "POST", "/orchestration", together, 201)
    assert swarm.done(at_once["jobId"])["completed"] == 3
    assert ask(swarm, "GET", f"/tasks/{at_once['tasks']['ship']}")["deps"] == []


def test_the_task_execution_api_of_open_swarm(swarm: Live) -> None:
    """Section 3.2.2: type, prompt, context, requirements, quality in; taskId, status, assignedNodes out."""
    request = {
        "type": "code_review",
        "prompt": "Review this change\nand say what breaks",
        "context": {"files": ["a.py"]},
        "requirements": {"minReputation": 0.5},
        "quality": "high",
    }
    made = ask(swarm, "POST", "/tasks", request, 201)
    assert set(made) >= {"taskId", "status", "assignedNodes"}
    assert made["status"] in STATES and "estimatedCompletion" not in made  # not measured, so not made up
    task = ask(swarm, "GET", f"/tasks/{made['taskId']}")
    assert (task["taskId"], task["status"], task["progress"]) == (made["taskId"], "queued", 0)
    assert task["name"] == "Review this change"
    assert task["fields"]["context"] == request["context"] and task["fields"]["quality"] == "high"
    results = ask(swarm, "GET", f"/tasks/{made['taskId']}/results")
    assert results["taskId"] == made["taskId"] and results["results"] == []


def test_a_task_that_runs_gives_the_results_of_every_replica(swarm: Live) -> None:
    made = ask(swarm, "POST", "/tasks", {"executor": "noop", "input": [1, 2], "replicas": 2, "quorum": 2}, 201)
    assert swarm.done(made["jobId"])["state"] == "completed"
    assert ask(swarm, "GET", f"/tasks/{made['taskId']}")["progress"] == 100
    results = ask(swarm, "GET", f"/tasks/{made['taskId']}/results")
    assert results["status"] == "completed" and results["output"] == "[1,2]"
    assert len({result["node"] for result in results["results"]}) == 2
    assert all(result["agreed"] and result["code"] == 0 for result in results["results"])


def test_the_node_management_api_of_open_swarm(swarm: Live) -> None:
    """Section 3.2.3. Earnings are another title's; what was not measured is not there."""
    request = {
        "hardwareSpec": {"cpu": {"cores": 8}},
        "capabilities": ["llm_inference"],
        "availability": {"hours": "00-24"},
        "wallet": "0x00",
    }
    made = ask(swarm, "POST", "/nodes/register", request, 201)
    assert set(made) >= {"nodeId", "status", "apiKey", "onboardingSteps"} and made["status"] == "pending"
    assert made["onboardingSteps"] and made["apiKey"].startswith("join-")
    node = ask(swarm, "GET", "/nodes")["items"][0]["id"]
    assert ask(swarm, "GET", f"/nodes/{node}")["id"] == node
    metrics = ask(swarm, "GET", f"/nodes/{node}/metrics")
    assert metrics["nodeId"] == node and metrics["utilization"]["slots"] == 4
    assert set(metrics) >= {"performance", "utilization", "reputation"}


def test_the_rest_list_of_worknode(swarm: Live) -> None:
    """GET POST /api/tasks, GET PUT DELETE /api/tasks/:id, /api/agents/:id/tasks, /api/events since and POST."""
    agent = ask(swarm, "POST", "/agents", {"name": "claude"}, 201)["id"]
    made = ask(swarm, "POST", "/api/tasks", {"title": "Implement feature", "assignee": agent}, 201)["id"]
    assert made in {task["id"] for task in ask(swarm, "GET", "/api/tasks")["items"]}
    assert ask(swarm, "PUT", f"/api/tasks/{made}", {"status": "executing"})["state"] == "executing"
    assert [task["id"] for task in ask(swarm, "GET", f"/api/agents/{agent}/tasks")["items"]] == [made]
    before = ask(swarm, "GET", f"/api/tasks/{made}")
    written = ask(swarm, "POST", "/api/events", {"type": "checked", "data": {"ok": True}, "subject": made}, 201)
    found = ask(swarm, "GET", f"/api/events?since={written['cursor'].rsplit('.')[0]}.{written['position'] - 1}")
    assert found["items"][0]["body"] == {"type": "checked", "data": {"ok": True}}
    clock = found["items"][0]["hlc"]  # since=<hlc>, as the source has it: picks where to start
    later = ask(swarm, "GET", f"/api/events?since={clock}&limit=500")["items"]
    assert later[0]["id"] == found["items"][0]["id"] and all(int(event["hlc"]) >= int(clock) for event in later)
    assert before["state"] == "executing"
    assert ask(swarm, "DELETE", f"/api/tasks/{made}")["status"] == "cancelled"
    refused(swarm.request("GET", f"/api/tasks/{made}"), 1000, 404)  # the alias cancels and tombstones


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
def test_what_supervisors_ask_needs_no_token(swarm: Live, path: str) -> None:
    response = swarm.request("GET", path, token="")
    assert response.status_code == 200
    if path == "/metrics":
        for name in ("http_request_duration_seconds", "tasks_failed_total", "agent_"):
            assert name in response.text, name


def test_the_websocket_protocol_of_agent_framework(swarm: Live) -> None:
    """`subscribe` with agents and events; updates say which agent and what."""
    agent = swarm.post("/agents", {"name": "architect"})["id"]
    other = swarm.post("/agents", {"name": "somebody else"})["id"]
    with connect(swarm.url.replace("http", "ws") + "/ws", additional_headers=swarm.as_admin) as socket:
        socket.send(json.dumps({"type": "subscribe", "agents": [agent], "events": ["note:status", "note:message"]}))
        assert json.loads(socket.recv(10))["type"] == "subscribed"
        for subject, type, data in ((other, "status", 1), (agent, "other", 2), (agent, "message", 3)):
            swarm.post("/events", {"type": type, "data": data, "subject": subject})
        update = json.loads(socket.recv(10))
        assert (update["agent"], update["type"], update["data"]) == (agent, "note:message", 3)
