"""The client for ordinary programs: the asynchronous one on a loop of its own, in a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

from quorate.base.limits import PAGE_DEFAULT
from quorate.client.asynchronous import RETRIES, AsyncClient
from quorate.client.types import Agent, Created, Emitted, Page, Results, Submitted
from quorate.model.views import EventView, JobView, NodeView, TaskView

T = TypeVar("T")


class Client:
    """As `AsyncClient`, for programs without an event loop. Use as a context manager, or `close` it."""

    def __init__(
        self, url: str, token: str, *, agent_id: str = "", timeout_s: float = 30.0, retries: int = RETRIES
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="quorate-client", daemon=True)
        self._thread.start()
        self._client = AsyncClient(url, token, agent_id=agent_id, timeout_s=timeout_s, retries=retries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and end the thread."""
        if self._loop.is_running():
            self._run(self._client.close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    @property
    def agent_id(self) -> str:
        """The agent that this client is."""
        return self._client.agent_id

    def create_task(self, title: str, *, idempotency_key: str = "", **fields: Any) -> Created:
        """See `AsyncClient.create_task`."""
        return self._run(self._client.create_task(title, idempotency_key=idempotency_key, **fields))

    def query_tasks(
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
        return self._run(
            self._client.query_tasks(assignee=assignee, state=state, job=job, tag=tag, q=q, limit=limit, before=before)
        )

    def task(self, id: str) -> TaskView:
        """One task."""
        return self._run(self._client.task(id))

    def update_task(self, id: str, **changes: Any) -> TaskView:
        """Change a task's title, assignee, status, tags or fields."""
        return self._run(self._client.update_task(id, **changes))

    def cancel_task(self, id: str) -> TaskView:
        """Cancel a task."""
        return self._run(self._client.cancel_task(id))

    def results(self, id: str) -> Results:
        """What each node answered, who agreed, and the agreed output."""
        return self._run(self._client.results(id))

    def receipt(self, id: str) -> bytes:
        """The receipt of a completed task, JSON."""
        return self._run(self._client.receipt(id))

    def submit(
        self,
        name: str,
        tasks: Sequence[Mapping[str, Any]],
        *,
        defaults: Mapping[str, Any] | None = None,
        idempotency_key: str = "",
    ) -> Submitted:
        """Submit a job."""
        return self._run(self._client.submit(name, tasks, defaults=defaults, idempotency_key=idempotency_key))

    def job(self, id: str) -> JobView:
        """One job."""
        return self._run(self._client.job(id))

    def jobs(self, *, state: str = "", limit: int = PAGE_DEFAULT, before: str = "") -> Page[JobView]:
        """Jobs, newest first."""
        return self._run(self._client.jobs(state=state, limit=limit, before=before))

    def cancel_job(self, id: str) -> JobView:
        """Cancel a job."""
        return self._run(self._client.cancel_job(id))

    def wait(self, job: str, timeout_s: float | None = None) -> JobView:
        """The job once it is over. Raises 1001 after `timeout_s`."""
        return self._run(self._client.wait(job, timeout_s))

    def nodes(self) -> Page[NodeView]:
        """All nodes."""
        return self._run(self._client.nodes())

    def status(self) -> dict[str, Any]:
        """The swarm at a glance."""
        return self._run(self._client.status())

    def register_agent(self, name: str, **fields: Any) -> Agent:
        """Register an agent, and be it from now on."""
        return self._run(self._client.register_agent(name, **fields))

    def emit(self, type: str, data: Any = None, *, subject: str = "", idempotency_key: str = "") -> Emitted:
        """Write an event of one's own."""
        return self._run(self._client.emit(type, data, subject=subject, idempotency_key=idempotency_key))

    def events(self, since: str = "", *, kind: str = "", limit: int = PAGE_DEFAULT) -> Page[EventView]:
        """Events after a cursor; the page's `next` resumes exactly there."""
        return self._run(self._client.events(since, kind=kind, limit=limit))

    def stream(self, since: str = "", *, kind: str = "") -> Iterator[EventView]:
        """Every event after a cursor (none: from now on), without end and without a gap."""
        events = self._client.stream(since, kind=kind)
        try:
            while True:
                yield self._run(_next(events))
        finally:
            self._run(events.aclose())  # type: ignore[attr-defined]

    def put_blob(self, data: bytes) -> str:
        """Store bytes; their id."""
        return self._run(self._client.put_blob(data))

    def blob(self, id: str) -> bytes:
        """The bytes of a blob."""
        return self._run(self._client.blob(id))

    def invite(self, label: str = "node") -> str:
        """A token with which one node can join."""
        return self._run(self._client.invite(label))

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """Any operation by its route below /api/v1, as plain values."""
        return self._run(self._client.call(method, path, body, **query))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _next(events: Any) -> Any:
    return await anext(events)
