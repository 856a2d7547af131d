"""The client for asyncio programs. Writes carry an idempotency key, so that a retry never does a thing twice."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self, TypeVar

import httpx
import msgspec

from quorate.base.errors import (
    IPC,
    RATE_LIMITED,
    TIMEOUT,
    MaxRetriesExceeded,
    PermanentError,
    QuorateError,
    TemporaryError,
)
from quorate.base.limits import PAGE_DEFAULT
from quorate.client.types import Agent, Created, Emitted, Page, Results, Submitted
from quorate.model.views import ErrorView, EventView, JobView, NodeView, TaskView

T = TypeVar("T")
RETRIES = 6  # with pauses that double: over 6 s, in which a coordinator has started again
CONNECTIONS = 100  # all of them kept: a connection for each request would cost more than the request
RETRY_FIRST_S = 0.1
STREAM_RETRIES = 8
STREAM_PAUSE_CAP_S = 5.0
WAIT_STEP_MS = 20_000
TEMPORARY = frozenset({RATE_LIMITED, 2000, 2001, IPC})


class AsyncClient:
    """Talks to one coordinator. `agent_id`: who `query_tasks(assignee=client.agent_id)` is about. `retries`: how often
    a request that found nobody, or found the coordinator busy, is sent again.

    Raises `QuorateError` (its `code` and `hint` say what and what to do): `PermanentError` for what will
    not pass, `MaxRetriesExceeded` when the coordinator stayed away.
    """

    def __init__(
        self, url: str, token: str, *, agent_id: str = "", timeout_s: float = 30.0, retries: int = RETRIES
    ) -> None:
        self.url = url.rstrip("/")
        self.agent_id = agent_id
        self._retries = retries
        headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        self._http = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=timeout_s, limits=limits)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def create_task(self, title: str, *, idempotency_key: str = "", **fields: Any) -> Created:
        """Create a task: with `command=` or `executor=` it runs on nodes, without it is work for an `assignee`."""
        return await self._write("POST", "/tasks", Created, {"title": title, **_camel(fields)}, idempotency_key)

    async def query_tasks(
        self,
        *,
        assignee: str = "",
        state: str = "",
        job: str = "",
        tag: str = "",
        q: str = "",
        limit: int = PAGE_DEFAULT,
        before: str = "",
    ) -> Page[TaskView]:
        """Tasks, newest first."""
        query = {"assignee": assignee, "state": state, "job": job, "tag": tag, "q": q, "limit": limit, "before": before}
        return await self._read("/tasks", Page[TaskView], query)

    async def task(self, id: str) -> TaskView:
        """One task."""
        return await self._read(f"/tasks/{id}", TaskView)

    async def update_task(self, id: str, **changes: Any) -> TaskView:
        """Change a task's title, assignee, status, tags or fields."""
        return await self._write("PUT", f"/tasks/{id}", TaskView, _camel(changes))

    async def cancel_task(self, id: str) -> TaskView:
        """Cancel a task."""
        return await self._write("DELETE", f"/tasks/{id}", TaskView)

    async def results(self, id: str) -> Results:
        """What each node answered, who agreed, and the agreed output."""
        return await self._read(f"/tasks/{id}/results", Results)

    async def receipt(self, id: str) -> bytes:
        """The receipt of a completed task, JSON: check it with `quorate receipt verify`."""
        return (await self._send("GET", f"/tasks/{id}/receipt")).content

    async def submit(
        self,
        name: str,
        tasks: Sequence[Mapping[str, Any]],
        *,
        defaults: Mapping[str, Any] | None = None,
        idempotency_key: str = "",
    ) -> Submitted:
        """Submit a job; each task is a mapping with the keys of the job format (docs/reference/jobs.md)."""
        body = {"name": name, "tasks": list(tasks), "defaults": dict(defaults or {})}
        return await self._write("POST", "/jobs", Submitted, body, idempotency_key)

    async def job(self, id: str) -> JobView:
        """One job."""
        return await self._read(f"/jobs/{id}", JobView)

    async def jobs(self, *, state: str = "", limit: int = PAGE_DEFAULT, before: str = "") -> Page[JobView]:
        """Jobs, newest first."""
        return await self._read("/jobs", Page[JobView], {"state": state, "limit": limit, "before": before})

    async def cancel_job(self, id: str) -> JobView:
        """Cancel a job."""
        return await self._write("DELETE", f"/jobs/{id}", JobView)

    async def wait(self, job: str, timeout_s: float | None = None) -> JobView:
        """The job once it is over. Raises 1001 after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    view = await self._read(f"/jobs/{job}/wait", JobView, {"timeoutMs": WAIT_STEP_MS})
                    if view.state != "running":
                        return view
        except TimeoutError:
            raise TemporaryError(TIMEOUT, f"job {job} is not over after {timeout_s} s") from None

    async def nodes(self) -> Page[NodeView]:
        """All nodes."""
        return await self._read("/nodes", Page[NodeView])

    async def status(self) -> dict[str, Any]:
        """The swarm at a glance."""
        return await self._read("/status", dict[str, Any])

    async def register_agent(self, name: str, **fields: Any) -> Agent:
        """Register an agent, and be it from now on."""
        agent = await self._write("POST", "/agents", Agent, {"name": name, **_camel(fields)})
        self.agent_id = agent.id
        return agent

    async def emit(self, type: str, data: Any = None, *, subject: str = "", idempotency_key: str = "") -> Emitted:
        """Write an event of one's own."""
        body = {"type": type, "data": data, "subject": subject}
        return await self._write("POST", "/events", Emitted, body, idempotency_key)

    async def events(self, since: str = "", *, kind: str = "", limit: int = PAGE_DEFAULT) -> Page[EventView]:
        """Events after a cursor; the page's `next` resumes exactly there."""
        return await self._read("/events", Page[EventView], {"since": since, "kind": kind, "limit": limit})

    async def stream(self, since: str = "", *, kind: str = "") -> AsyncIterator[EventView]:
        """Every event after a cursor (none: from now on), without end and without a gap: reconnects by itself."""
        failures = 0
        while True:
            try:
                async with self._http.stream(
                    "GET",
                    "/api/v1/events/stream",
                    params={k: v for k, v in {"since": since, "kind": kind}.items() if v},
                    timeout=httpx.Timeout(30.0),
                ) as response:
                    if response.status_code != 200:
                        await response.aread()
                        raise _error(response)
                    async for line in response.aiter_lines():
                        failures = 0
                        if line.startswith("id: "):
                            since = line[4:]
                        elif line.startswith("data: "):
                            yield msgspec.json.decode(line[6:], type=EventView)
            except (httpx.TransportError, TemporaryError) as error:
                failures += 1
                if failures > STREAM_RETRIES:
                    raise MaxRetriesExceeded(IPC, f"the event stream of {self.url} stayed away") from error
            await asyncio.sleep(min(RETRY_FIRST_S * 2**failures, STREAM_PAUSE_CAP_S))

    async def put_blob(self, data: bytes) -> str:
        """Store bytes; their id."""
        response = await self._send("POST", "/blobs", content=data)
        return str(msgspec.json.decode(response.content)["id"])

    async def blob(self, id: str) -> bytes:
        """The bytes of a blob."""
        return (await self._send("GET", f"/blobs/{id}")).content

    async def invite(self, label: str = "node") -> str:
        """A token with which one node can join."""
        return str((await self.call("POST", "/nodes/register", {"label": label}))["token"])

    async def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Any operation by its route (below /api/v1, unless it begins with /api/), as plain values."""
        headers = {} if method == "GET" else {"idempotency-key": secrets.token_hex(16)}
        response = await self._send(method, path, json=body, params=query, headers=headers)
        return msgspec.json.decode(response.content)

    async def _read(self, path: str, kind: type[T], query: Mapping[str, Any] | None = None) -> T:
        params = {key: value for key, value in (query or {}).items() if value != ""}
        return msgspec.json.decode((await self._send("GET", path, params=params)).content, type=kind)

    async def _write(self, method: str, path: str, kind: type[T], body: Any = None, key: str = "") -> T:
        headers = {"idempotency-key": key or secrets.token_hex(16)}
        return msgspec.json.decode((await self._send(method, path, json=body, headers=headers)).content, type=kind)

    async def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        last: BaseException | None = None
        route = path if path.startswith("/api/") else f"/api/v1{path}"
        for attempt in range(self._retries + 1):
            if attempt:
                await asyncio.sleep(RETRY_FIRST_S * 2 ** (attempt - 1))
            try:
                response = await self._http.request(method, route, **arguments)
            except httpx.TransportError as error:
                last = error
                continue
            if response.is_success:
                return response
            last = _error(response)
            if not isinstance(last, TemporaryError):
                raise last
        code = last.code if isinstance(last, QuorateError) else IPC
        message = last.message if isinstance(last, QuorateError) else f"{self.url} does not answer: {last}"
        raise MaxRetriesExceeded(code, message) from last


def _error(response: httpx.Response) -> QuorateError:
    try:
        view = msgspec.json.decode(response.content, type=ErrorView)
    except msgspec.DecodeError:
        return PermanentError(IPC, f"{response.status_code} from {response.url}, not a coordinator's answer")
    kind = TemporaryError if view.code in TEMPORARY else PermanentError
    return kind(view.code, view.message, view.what_to_do)


def _camel(fields: Mapping[str, Any]) -> dict[str, Any]:
    def key(name: str) -> str:
        first, *rest = name.split("_")
        return first + "".join(part.capitalize() for part in rest)

    return {key(name): value for name, value in fields.items()}
