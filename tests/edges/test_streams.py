"""The event stream over SSE and `/ws`: resumed by cursor without a gap or a double, across a restart too."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from live import Live, bearer, refused
from processes import Processes, until

EVENTS = "/api/v1/events/stream"


def emit(live: Live, count: int, kind: str = "n") -> list[int]:
    """Positions of events that were acknowledged."""
    return [live.post("/events", {"type": kind, "data": number})["position"] for number in range(count)]


def sse(live: Live, many: int, headers: dict[str, str] | None = None, **query: str) -> list[tuple[str, Any]]:
    """The next (id, event) messages of a stream."""
    found: list[tuple[str, Any]] = []
    id = ""
    with live.http.stream("GET", EVENTS, params=query, headers=headers or {}) as response:
        assert response.status_code == 200 and response.headers["content-type"].startswith("text/event-stream")
        for line in response.iter_lines():
            if line.startswith("id: "):
                id = line[4:]
            elif line.startswith("data: "):
                found.append((id, json.loads(line[6:])))
            if len(found) == many:
                break
    return found


@contextlib.contextmanager
def subscribed(live: Live, **order: Any) -> Iterator[tuple[ClientConnection, str]]:
    with connect(live.url.replace("http", "ws") + "/ws", additional_headers=live.as_admin) as ws:
        ws.send(json.dumps({"type": "subscribe", **order}))
        yield ws, json.loads(ws.recv(10))["cursor"]


def positions(live: Live, since: int) -> list[int]:
    return list(range(since + 1, live.get("/status")["position"] + 1))


def test_a_stream_begins_where_asked_and_goes_on_with_what_comes(swarm: Live) -> None:
    first, *rest = emit(swarm, 5)
    got = sse(swarm, 5, since=f"{swarm.realm}.{first - 1}", kind="note")
    assert [event["position"] for _, event in got] == [first, *rest]
    assert [id for id, _ in got] == [f"{swarm.realm}.{position}" for position in (first, *rest)]
    again = sse(swarm, 2, headers={"last-event-id": got[2][0]}, since="ignored when the header is there", kind="note")
    assert [event["position"] for _, event in again] == rest[2:]


def test_who_never_saw_an_event_still_has_a_cursor(swarm: Live) -> None:
    with swarm.http.stream("GET", EVENTS, params={"kind": "no such kind"}) as response:
        first = next(response.iter_lines())
    assert first.startswith(f"id: {swarm.realm}.")
    missed = emit(swarm, 2)
    got = sse(swarm, 2, headers={"last-event-id": first[4:]}, kind="note")
    assert [event["position"] for _, event in got] == missed


def test_a_cursor_that_is_none_or_of_another_log_is_refused(swarm: Live) -> None:
    for cursor, code, status in (("x", 1002, 400), (f"{swarm.realm}.-1", 1002, 400), ("0" * 32 + ".1", 1000, 404)):
        refused(swarm.request("GET", "/events/stream", params={"since": cursor}), code, status)
        refused(swarm.request("GET", "/events/stream", headers={"last-event-id": cursor}), code, status)


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_resuming_over_a_restart_misses_nothing_and_doubles_nothing(
    processes: Processes, tmp_path: Path, kill: bool
) -> None:
    live = Live(processes, tmp_path / "data")
    start = live.get("/status")["position"]
    emit(live, 10)
    seen = sse(live, 6, since=f"{live.realm}.{start}")
    with subscribed(live, since=f"{live.realm}.{start}") as (ws, _):
        by_ws = [json.loads(ws.recv(10))["event"] for _ in range(6)]
        live.restart(kill=kill)
        with contextlib.suppress(ConnectionClosed):
            by_ws += [json.loads(message)["event"] for message in ws]
    emit(live, 10)
    wanted = positions(live, start)
    seen += sse(live, len(wanted) - len(seen), headers={"last-event-id": seen[-1][0]})
    with subscribed(live, since=by_ws[-1]["cursor"]) as (ws, _):
        by_ws += [json.loads(ws.recv(10))["event"] for _ in range(len(wanted) - len(by_ws))]
    assert [event["position"] for _, event in seen] == wanted
    assert [event["position"] for event in by_ws] == wanted
    assert len(wanted) >= 20
    live.verify_log()


def test_open_swarms_event_names(swarm: Live) -> None:
    """Section 3.3, for everything of it that happens in this swarm."""
    with subscribed(swarm, events=["task:progress", "task:completed", "task:failed", "node:disconnected"]) as (ws, _):
        good = swarm.post("/tasks", {"executor": "noop", "input": 1, "replicas": 2, "quorum": 2})
        swarm.done(good["jobId"])
        waits = {"title": "never", "executor": "noop", "needs": ["what nobody has"]}
        bad = swarm.post("/tasks", waits)
        swarm.request("DELETE", f"/tasks/{bad['id']}")
        messages: list[Any] = []
        while not messages or messages[-1]["taskId"] != bad["id"]:
            messages.append(json.loads(ws.recv(10)))
    of = {(message["type"], message["taskId"]): message for message in messages}
    done = of["task:completed", good["id"]]
    assert done["results"][0]["code"] == 0 and done["agent"] == good["id"]
    assert of["task:progress", good["id"]]["currentStep"] in ("assigned", "validating")
    assert "cancelled" in of["task:failed", bad["id"]]["reason"]
    assert "finalCost" not in done and "qualityScore" not in done  # not measured, so not there


def test_nodes_come_and_go_by_open_swarms_names(processes: Processes, tmp_path: Path) -> None:
    live = Live(processes, tmp_path / "data", "--heartbeat-ms", "200", "--lost-ms", "1000")
    with subscribed(live, events=["node"]) as (ws, _):
        node = live.node("brief", "--slots", "1")
        joined = json.loads(ws.recv(10))
        assert joined["type"] == "node:connected" and "executor:noop" in joined["capabilities"]
        node.kill()
        gone = json.loads(ws.recv(10))
        while gone["type"] != "node:disconnected":
            gone = json.loads(ws.recv(10))
        assert gone["nodeId"] == joined["nodeId"] and gone["reason"] == "no heartbeat"


@pytest.mark.parametrize(
    "said",
    ["", "{", "[]", '{"type":"unsubscribe"}', '{"type":"subscribe","events":"x"}', '{"type":"subscribe","since":"x"}'],
)
def test_a_websocket_that_says_nonsense_is_told_and_closed(swarm: Live, said: str) -> None:
    with connect(swarm.url.replace("http", "ws") + "/ws", additional_headers=swarm.as_admin) as ws:
        ws.send(said)
        error = json.loads(ws.recv(10))
        assert error["type"] == "error" and error["error"]["code"] == 1002 and error["error"]["whatToDo"]
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(10)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


def test_a_websocket_needs_a_token_in_its_header_or_its_first_message(swarm: Live) -> None:
    url = swarm.url.replace("http", "ws") + "/ws"
    join = swarm.post("/nodes/register", {"label": "x"})["token"]
    for token, code in (("", 1003), ("user-" + "0" * 48, 1003), (join, 1005)):
        with connect(url) as ws:
            ws.send(json.dumps({"type": "subscribe", "token": token}))
            assert json.loads(ws.recv(10))["error"]["code"] == code
    with connect(url) as ws:
        ws.send(json.dumps({"type": "subscribe", "token": swarm.token}))
        assert json.loads(ws.recv(10))["type"] == "subscribed"


def test_who_reads_slowly_costs_the_others_nothing_and_misses_nothing(swarm: Live) -> None:
    """A reader that stops reading while more is sent than any buffer holds; then reads on."""
    host, port = swarm.url.removeprefix("http://").split(":")
    start = swarm.get("/status")["position"]
    with socket.create_connection((host, int(port))) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        ask = (f"GET {EVENTS}?since={swarm.realm}.{start} HTTP/1.1", "Host: x", f"Authorization: Bearer {swarm.token}")
        slow.sendall("\r\n".join((*ask, "", "")).encode())
        large = "x" * 200_000
        quick: list[Any] = []
        reader = threading.Thread(
            target=lambda: quick.extend(sse(swarm_again(swarm), 60, since=f"{swarm.realm}.{start}"))
        )
        reader.start()
        sent = [swarm.post("/events", {"type": "big", "data": large})["position"] for _ in range(60)]
        reader.join(20)
        assert not reader.is_alive(), f"the quick one got {len(quick)} of 60"
        assert [event["position"] for _, event in quick][-1] >= sent[0]
        got = bytearray()
        slow.settimeout(20)
        while got.find(f"id: {swarm.realm}.{sent[-1]}\n".encode(), max(0, len(got) - 1_500_000)) < 0:
            part = slow.recv(1 << 20)
            assert part, "the slow one was cut off"
            got += part
    for position in sent:
        assert got.count(f"id: {swarm.realm}.{position}\n".encode()) == 1


def swarm_again(swarm: Live) -> Any:
    """The same swarm over connections of one's own: `httpx.Client` is for one thread."""

    class Own:
        http = httpx.Client(base_url=swarm.url, headers=bearer(swarm.token), timeout=30)

    return Own


def test_followers_that_leave_are_forgotten(swarm: Live) -> None:
    def followers() -> float:
        text = swarm.request("GET", "/metrics").text
        return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith("quorate_followers "))

    until(lambda: followers() == 0, "those of other tests are gone")
    with subscribed(swarm), subscribed(swarm), swarm.http.stream("GET", EVENTS) as stream:
        lines = stream.iter_lines()  # held: dropped, it would close the stream
        next(lines)
        until(lambda: followers() == 3, "three follow")
    until(lambda: followers() == 0, "nobody of them follows any more")


def test_a_liar_is_an_alert(processes: Processes, tmp_path: Path) -> None:
    live = Live(processes, tmp_path / "data")
    for name in ("judge", "jury", "honest"):
        live.node(name, "--slots", "1")
    live.node("liar", "--slots", "1", "--drill", "lie=1000")
    ids = {node["name"]: node["id"] for node in live.get("/nodes")["items"]}

    def put(state: str) -> None:
        for name in ("judge", "jury"):
            assert live.request("PUT", f"/nodes/{ids[name]}", json={"state": state}).json()["state"] == state

    put("draining")
    with subscribed(live, events=["system:alert"]) as (ws, _):
        task = live.post("/tasks", {"executor": "noop", "input": 1, "replicas": 2, "quorum": 2})
        until(lambda: len(live.get(f"/tasks/{task['id']}/results")["results"]) == 2, "both answered")
        put("online")
        assert live.done(task["jobId"])["state"] == "completed"
        alert = json.loads(ws.recv(10))
    assert (alert["level"], alert["affectedComponents"]) == ("warning", [ids["liar"]])
