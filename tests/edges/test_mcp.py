"""MCP with the official client, over streamable HTTP and over standard input and output: the same tools on both."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from live import QUORATE, Live, bearer, refused
from quorate.services.coordinator import OPERATIONS

TOOLS = {name: operation for operation in OPERATIONS for name in operation.mcp}
TRANSPORTS = ("http", "stdio")
NOBODY = "0" * 32


@asynccontextmanager
async def connected(swarm: Live, transport: str, token: str = "", mode: str = "auto") -> AsyncIterator[Client]:
    token = token or swarm.token
    if transport == "stdio":
        server = StdioServerParameters(command=str(QUORATE), args=["mcp", "--url", swarm.url, "--token", token])
        async with Client(server, mode=mode) as client:
            yield client
    else:
        async with (
            httpx2.AsyncClient(headers=bearer(token)) as http,
            Client(streamable_http_client(f"{swarm.url}/mcp", http_client=http), mode=mode) as client,
        ):
            yield client


def over(swarm: Live, transport: str, work: Callable[[Client], Awaitable[None]], **options: str) -> None:
    async def run() -> None:
        async with connected(swarm, transport, **options) as client:
            await work(client)

    asyncio.run(run())


async def call(client: Client, tool: str, **arguments: Any) -> Any:
    """A tool's structured result; its text says the same."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.content[0].type == "text" and result.content[0].text.startswith("{")
    return result.structured_content


async def fails(client: Client, tool: str, code: int, **arguments: Any) -> str:
    """A tool's error, as a model sees it."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result.structured_content
    error = result.structured_content
    assert error["code"] == code, error
    assert error["name"] and error["whatToDo"] and error["message"] in result.content[0].text
    return str(error["message"])


@pytest.mark.parametrize(("transport", "mode"), [("http", "auto"), ("http", "legacy"), ("stdio", "legacy")])
def test_the_tools_are_the_operations_that_are_called_so(swarm: Live, transport: str, mode: str) -> None:
    async def work(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == set(TOOLS)
        for name, tool in tools.items():
            assert tool.description and TOOLS[name].summary in tool.description
            assert tool.input_schema["type"] == "object" and tool.input_schema["additionalProperties"] is False
            assert tool.output_schema is not None and tool.output_schema["type"] == "object"
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint == (TOOLS[name].rest is not None and TOOLS[name].rest[0] == "GET")
        assert "title" in tools["task_create"].input_schema["properties"]
        assert tools["task_get"].input_schema["required"] == ["id"]

    over(swarm, transport, work, mode=mode)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_tool_with_arguments_that_fit(swarm: Live, transport: str) -> None:
    called: set[str] = set()

    async def work(client: Client) -> None:
        async def ok(tool: str, **arguments: Any) -> Any:
            called.add(tool)
            return await call(client, tool, **arguments)

        agent = await ok("agent_register", name="model", capabilities=["write"])
        assert swarm.get(f"/agents/{agent['id']}")["capabilities"] == ["write"]
        await ok("agent_update", id=agent["id"], status="busy")
        assert (await ok("agent_get", id=agent["id"]))["status"] == "busy"
        assert agent["id"] in {one["id"] for one in (await ok("agent_list"))["items"]}
        task = (await ok("task_create", title="by a model", assignee=agent["id"]))["id"]
        assert swarm.get(f"/tasks/{task}")["name"] == "by a model"
        assert [one["id"] for one in (await ok("agent_tasks", id=agent["id"]))["items"]] == [task]
        assert (await ok("task_update", id=task, addTags=["seen"], priority="high"))["tags"] == ["seen"]
        assert (await ok("task_list", tag="seen", assignee=agent["id"]))["items"][0]["id"] == task
        assert (await ok("task_cancel", id=task))["state"] == "cancelled"
        await ok("task_delete", id=task)
        refused(swarm.request("GET", f"/tasks/{task}"), 1000, 404)
        await ok("agent_remove", id=agent["id"])
        steps = [{"name": "only", "executor": "noop", "input": {"n": 1}}]
        job = await ok("job_submit", name="by a model", tasks=steps)
        assert (await ok("job_wait", id=job["jobId"], timeoutMs=20000))["state"] == "completed"
        assert (await ok("job_get", id=job["jobId"]))["total"] == 1
        assert job["jobId"] in {one["id"] for one in (await ok("job_list", limit=5))["items"]}
        ran = job["tasks"]["only"]
        assert (await ok("task_get", id=ran))["progress"] == 100
        assert (await ok("task_results", id=ran))["output"] == '{"n":1}'
        assert await ok("task_receipt", id=ran)
        waits = [{"name": "waits", "executor": "noop", "needs": ["what nobody has"]}]
        flow = await ok("workflow_run", name="flow", steps=waits)
        assert (await ok("job_cancel", id=flow["jobId"]))["state"] == "cancelled"
        node = (await ok("node_list", state="online"))["items"][0]["id"]
        assert (await ok("node_get", id=node))["id"] == node
        assert (await ok("node_set", id=node, state="draining", reason="try"))["state"] == "draining"
        assert swarm.get(f"/nodes/{node}")["state"] == "draining"
        assert (await ok("node_set", id=node, state="online"))["state"] == "online"
        assert (await ok("node_register", label="one more"))["token"].startswith("join-")
        written = await ok("event_emit", type="said", data={"by": transport})
        since = f"{written['log']}.{written['position'] - 1}"
        assert (await ok("event_list", since=since, limit=1))["items"][0]["body"]["data"] == {"by": transport}
        assert any(grant["label"] == "first admin" for grant in (await ok("grant_list"))["items"])
        assert (await ok("status"))["realm"] == swarm.realm
        assert called == set(TOOLS)

    over(swarm, transport, work)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_tool_with_arguments_that_do_not_fit(swarm: Live, transport: str) -> None:
    position = swarm.get("/status")["position"]

    async def work(client: Client) -> None:
        for name, operation in TOOLS.items():
            assert "surely_not" in await fails(client, name, 1002, surely_not=1)
            if "id" in operation.input.__struct_fields__:
                for id in ("", "zz", 7):
                    await fails(client, name, 1002, id=id, **REQUIRED.get(name, {}))
                # As a path it leads nowhere, and not to another operation: the two transports say so in two ways.
                await fails(
                    client, name, 1002 if transport == "http" else 1000, id="../status", **REQUIRED.get(name, {})
                )
                missing = NOBODY * (2 if name.startswith("node") else 1)
                await fails(client, name, 1000, id=missing, **REQUIRED.get(name, {}))
        assert "no_such_tool" in await fails(client, "no_such_tool", 1000)
        assert "limit" in await fails(client, "task_list", 1002, limit=10_000)
        assert "circular" in await fails(client, "job_submit", 4000, name="o", tasks=CIRCLE)
        assert "bogus" in await fails(client, "task_create", 1008, title="x", executor="bogus")

    over(swarm, transport, work)
    assert swarm.get("/status")["position"] == position  # nothing of all this was written


REQUIRED: dict[str, Any] = {"node_set": {"state": "online"}, "agent_update": {"status": "x"}}
REQUIRED["task_update"] = {"title": "x"}
CIRCLE = [{"name": a, "executor": "noop", "deps": [b]} for a, b in (("a", "b"), ("b", "a"))]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_tool_has_the_rights_of_its_token_and_no_more(swarm: Live, transport: str) -> None:
    async def work(client: Client) -> None:
        assert (await call(client, "status"))["realm"] == swarm.realm
        assert "task:create" in await fails(client, "task_create", 1005, title="not mine to make")

    over(swarm, transport, work, token=swarm.grant("observer")["token"])


def test_over_http_every_request_shows_its_token(swarm: Live) -> None:
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    headers = {"accept": "application/json, text/event-stream"}
    gone = swarm.grant("user")
    with httpx.Client(base_url=swarm.url, headers=headers) as http:
        refused(http.post("/mcp", json=listing), 1003, 401)
        refused(http.post("/mcp", json=listing, headers=bearer("admin-" + "0" * 48)), 1003, 401)
        assert http.post("/mcp", json=listing, headers=bearer(gone["token"])).status_code == 200
        swarm.request("DELETE", f"/grants/{gone['id']}")
        refused(http.post("/mcp", json=listing, headers=bearer(gone["token"])), 1003, 401)
        admin = bearer(swarm.token)
        assert http.get("/mcp", headers=admin).status_code == 405  # there is nothing to stream
        for body in (b"{", b"[]", b"\xff\xfe", b'{"jsonrpc":"2.0","id":1,"method":"nope"}', b"null"):
            answer = http.post("/mcp", content=body, headers={**admin, "content-type": "application/json"})
            assert answer.status_code < 500 and "error" in answer.json(), (body, answer.text)
        large = http.post(
            "/mcp", content=b" " * (9 * 1024 * 1024), headers={**admin, "content-type": "application/json"}
        )
        assert large.status_code == 413
    assert swarm.get("/status")["realm"] == swarm.realm


def test_over_standard_input_a_wrong_token_and_a_lost_coordinator_are_coded_errors(swarm: Live) -> None:
    async def work(client: Client) -> None:
        await fails(client, "status", 1003)

    over(swarm, "stdio", work, token="admin-" + "0" * 48)
