"""The Python client, sync and async, against a real coordinator: every method once, and over a restart."""

import asyncio
import inspect
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from live import Live
from processes import Processes
from quorate import AsyncClient, Client
from quorate.base.errors import MaxRetriesExceeded, PermanentError, QuorateError, TemporaryError

METHODS = {
    name for name, _ in inspect.getmembers(AsyncClient, callable) if not name.startswith("_") and name not in ("close",)
}


class Both:
    """Calls the same method of either client; notes which were called."""

    def __init__(self, swarm: Live, kind: str) -> None:
        self.called: set[str] = set()
        self.loop = asyncio.new_event_loop()
        self.client: Any = (Client if kind == "sync" else AsyncClient)(swarm.url, swarm.token)
        self.kind = kind

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            self.called.add(name)
            made = getattr(self.client, name)(*arguments, **named)
            return self.loop.run_until_complete(made) if inspect.isawaitable(made) else made

        return call

    def first(self, count: int, since: str, **query: str) -> list[Any]:
        """The first events of the stream."""
        self.called.add("stream")
        stream = self.client.stream(since, **query)
        if self.kind == "sync":
            found = [next(stream) for _ in range(count)]
            stream.close()
            return found

        async def take() -> list[Any]:
            found = [await anext(stream) for _ in range(count)]
            await stream.aclose()
            return found

        return self.loop.run_until_complete(take())

    def close(self) -> None:
        made = self.client.close()
        if inspect.isawaitable(made):
            self.loop.run_until_complete(made)
        self.loop.close()


@pytest.fixture(params=["sync", "async"])
def client(swarm: Live, request: pytest.FixtureRequest) -> Iterator[Both]:
    both = Both(swarm, request.param)
    yield both
    both.close()


def test_every_method_once(swarm: Live, client: Both) -> None:
    agent = client.register_agent("worker", capabilities=["write"])
    assert client.client.agent_id == agent.id and agent.capabilities == ("write",)
    mine = client.create_task("Implement feature", assignee=agent.id, tags=["v2"])
    assert [task.id for task in client.query_tasks(assignee=client.client.agent_id).items] == [mine.id]
    assert client.update_task(mine.id, add_tags=["now"], status="executing").state == "executing"
    assert sorted(client.task(mine.id).tags) == ["now", "v2"]
    assert client.cancel_task(mine.id).state == "cancelled"
    data = json.dumps({"large": "x" * 70_000}).encode()
    blob = client.put_blob(data)
    assert client.blob(blob) == data
    job = client.submit(
        "two",
        [{"name": "a", "inputBlob": blob}, {"name": "b", "deps": ["a"], "input": 1}],
        defaults={"executor": "noop", "replicas": 2, "quorum": 2},
    )
    assert (job.total, set(job.tasks)) == (2, {"a", "b"})
    assert client.wait(job.job_id, timeout_s=30).state == "completed"
    assert client.job(job.job_id).completed == 2
    assert job.job_id in {one.id for one in client.jobs(limit=10).items}
    assert client.results(job.tasks["b"]).output == "1"
    assert client.results(job.tasks["a"]).output_blob == blob  # what noop was given is what it answers
    receipt = json.loads(client.receipt(job.tasks["b"]))
    assert receipt
    waits = client.submit("waits", [{"name": "w", "executor": "noop", "needs": ["what nobody has"]}])
    with pytest.raises(TemporaryError) as late:
        client.wait(waits.job_id, timeout_s=0.2)
    assert late.value.code == 1001
    assert client.cancel_job(waits.job_id).state == "cancelled"
    written = client.emit("said", {"n": 1}, subject=agent.id)
    before = f"{written.log}.{written.position - 1}"
    page = client.events(before, kind="note", limit=1)
    assert page.items[0].body == {"type": "said", "data": {"n": 1}} and page.next == written.cursor
    assert client.first(1, before)[0].id == written.event
    assert client.status()["realm"] == swarm.realm
    assert {node.name for node in client.nodes().items} >= {"ada", "bob"}
    assert client.invite("third").startswith("join-")
    assert client.call("GET", "/tasks", limit=1)["items"]
    assert client.called >= METHODS, METHODS - client.called


def test_both_clients_have_the_same_methods() -> None:
    for name in METHODS:
        theirs = inspect.signature(getattr(AsyncClient, name)).parameters
        assert list(inspect.signature(getattr(Client, name)).parameters) == list(theirs), name


def test_what_will_not_pass_is_said_at_once(swarm: Live, client: Both) -> None:
    with pytest.raises(PermanentError) as missing:
        client.task("0" * 32)
    assert missing.value.code == 1000 and missing.value.hint
    with pytest.raises(PermanentError) as unknown:
        client.create_task("x", executor="quantum")
    assert unknown.value.code == 1008 and "noop" in unknown.value.message
    with pytest.raises(PermanentError) as conflict:
        client.emit("a", 1, idempotency_key=f"client {client.kind}")
        client.emit("b", 1, idempotency_key=f"client {client.kind}")
    assert conflict.value.code == 1006


def test_a_coordinator_that_stays_away_is_told_as_such() -> None:
    with Client("http://127.0.0.1:9", "none", retries=1) as client, pytest.raises(MaxRetriesExceeded) as away:
        client.status()
    assert away.value.code == 3001 and away.value.__cause__ is not None


def test_writes_while_the_coordinator_restarts_happen_once(processes: Processes, tmp_path: Path) -> None:
    """Threads write without a pause; it is killed, then stopped. Each write is there once, in its writer's order."""
    live = Live(processes, tmp_path / "data")
    stop = threading.Event()
    written: dict[int, list[int]] = {0: [], 1: []}
    failed: list[QuorateError] = []

    def write(who: int) -> None:
        with Client(live.url, live.token) as client:
            while not stop.is_set():
                try:
                    client.emit("count", [who, len(written[who])])
                    written[who].append(len(written[who]))
                except QuorateError as error:
                    failed.append(error)
                    return

    writers = [threading.Thread(target=write, args=(who,)) for who in written]
    for writer in writers:
        writer.start()
    for kill in (True, False):
        live.restart(kill=kill)
    before = {who: len(numbers) for who, numbers in written.items()}
    live.post("/events", {"type": "pause", "data": None})
    deadline = threading.Event()
    while any(len(written[who]) <= before[who] for who in written) and not failed:
        deadline.wait(0.02)
    stop.set()
    for writer in writers:
        writer.join(30)
    assert not failed, failed
    seen: dict[int, list[int]] = {0: [], 1: []}
    cursor = ""
    with Client(live.url, live.token) as client:
        while (page := client.events(cursor, kind="note", limit=500)).items:
            cursor = page.next or ""
            for event in page.items:
                if event.body["type"] == "count":
                    seen[event.body["data"][0]].append(event.body["data"][1])
    assert seen == written
    live.verify_log()


def test_a_stream_goes_on_over_a_restart_without_a_gap(processes: Processes, tmp_path: Path) -> None:
    live = Live(processes, tmp_path / "data")
    start = live.get("/status")["position"]
    got: list[int] = []
    enough = threading.Event()

    def follow() -> None:
        with Client(live.url, live.token) as client:
            for event in client.stream(f"{live.realm}.{start}", kind="note"):
                got.append(event.body["data"])
                if event.body["data"] == 19:
                    enough.set()
                    return

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    for number in range(20):
        live.post("/events", {"type": "n", "data": number})
        if number == 9:
            live.restart(kill=True)
    assert enough.wait(20), got
    assert got == list(range(20))
