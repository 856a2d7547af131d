"""`/ws`: subscribe to events (agent-framework, open-swarm), resumed by cursor.

The token comes in the Authorization header, or (browsers cannot set one) in the first message.
"""

import asyncio
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect
from litestar.handlers import websocket
from msgspec import Struct

from quorate.base.errors import DENIED, INVALID, QuorateError, require
from quorate.base.limits import RING_EVENTS
from quorate.edges.http import Gate, error_view
from quorate.model.views import EventView
from quorate.services.coordinator import Published, parse_cursor

HELLO_S = 10.0
POLICY, TRY_AGAIN = 1008, 1013  # RFC 6455 section 7.4.1 and the IANA registry of close codes


class Subscribe(Struct, rename="camel"):
    """`events` are kinds or open-swarm names; `agents` are subjects or node ids; empty: all."""

    type: str
    token: str = ""
    events: list[str] = []
    agents: list[str] = []
    since: str = ""


def swarm_events(view: EventView) -> list[tuple[str, dict[str, Any]]]:
    """The events of open-swarm section 3.3 that this one is: fields that were not measured are absent."""
    body = view.body or {}
    if view.kind == "task.settled":
        return _settled(view.subject, body)
    if view.kind == "task.answered":
        tasks = dict.fromkeys(result["task"] for result in body["results"])
        return [("task:progress", {"taskId": task, "currentStep": "validating"}) for task in tasks]
    if view.kind == "lease.granted":
        tasks = dict.fromkeys(lease["task"] for lease in body["leases"])
        return [("task:progress", {"taskId": task, "currentStep": "assigned"}) for task in tasks]
    if view.kind == "node.joined":
        return [("node:connected", {"nodeId": body["node"], "capabilities": body["capabilities"]})]
    if view.kind == "node.changed" and body["state"] == "online":
        return [("node:connected", {"nodeId": body["node"]})]
    if view.kind == "node.changed" and body["state"] == "offline":
        return [("node:disconnected", {"nodeId": body["node"], "reason": body["reason"]})]
    if view.kind == "note":
        return [(f"note:{body['type']}", {"data": body["data"]})]
    return []


def _settled(task: str, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    results = [{"node": r["node"], "code": r["code"], "output": r["output"]} for r in body["agreed"]]
    name = "task:completed" if body["state"] == "completed" else "task:failed"
    found: list[tuple[str, dict[str, Any]]] = [(name, {"taskId": task, "results": results, "reason": body["reason"]})]
    if body["dissent"] and name == "task:completed":  # without a quorum nobody can say who of them was wrong
        nodes = sorted({result["node"] for result in body["dissent"]})
        message = f"{len(nodes)} of the nodes that ran task {task} returned another result than the quorum"
        found.append(("system:alert", {"level": "warning", "message": message, "affectedComponents": nodes}))
    return found


def subscribe_route(gate: Gate) -> Any:
    """The route."""

    @websocket("/ws")
    async def ws(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        try:
            wanted = await _subscribe(gate, socket)
        except QuorateError as error:
            await _refuse(socket, error, POLICY)
            return
        except WebSocketDisconnect:
            return
        writer, reader = asyncio.create_task(_write(gate, socket, wanted)), asyncio.create_task(_listen(socket))
        try:
            await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
        finally:
            writer.cancel()
            reader.cancel()
            ended, _ = await asyncio.gather(writer, reader, return_exceptions=True)
        if isinstance(ended, QuorateError):  # the coordinator reloads: whoever follows comes again
            await _refuse(socket, ended, TRY_AGAIN)

    return ws


async def _listen(socket: WebSocket[Any, Any, Any]) -> None:
    """Until the client goes. It may talk; only its first message is an order."""
    try:
        while (await socket.receive())["type"] == "websocket.receive":
            pass
    except (WebSocketDisconnect, RuntimeError):
        return


async def _refuse(socket: WebSocket[Any, Any, Any], error: QuorateError, code: int) -> None:
    view, _ = error_view(error, "")
    try:
        await socket.send_text(msgspec.json.encode({"type": "error", "error": view}).decode())
        await socket.close(code=code, reason=error.message.encode()[:120].decode(errors="ignore"))
    except (RuntimeError, WebSocketDisconnect):
        return  # the client was faster


async def _subscribe(gate: Gate, socket: WebSocket[Any, Any, Any]) -> Subscribe:
    try:
        async with asyncio.timeout(HELLO_S):
            text = await socket.receive_text()
        wanted = msgspec.json.decode(text, type=Subscribe)
    except TimeoutError:
        raise QuorateError(INVALID, f"no subscribe message within {HELLO_S:.0f} s") from None
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
        raise QuorateError(INVALID, f"not a subscribe message: {error}") from None
    require(wanted.type == "subscribe", f"unknown message type {wanted.type[:40]!r}, expected 'subscribe'")
    header = socket.headers.get("authorization", "") or (f"Bearer {wanted.token}" if wanted.token else "")
    principal = gate.admit(header, "event:read")
    require("event:read" in principal.rights, "subscribing needs the right 'event:read'", DENIED)
    if wanted.since:
        parse_cursor(wanted.since, gate.coordinator.feed.log)
    return wanted


async def _write(gate: Gate, socket: WebSocket[Any, Any, Any], wanted: Subscribe) -> None:
    feed = gate.coordinator.feed
    after = parse_cursor(wanted.since, feed.log).position if wanted.since else feed.position
    await socket.send_text(msgspec.json.encode({"type": "subscribed", "cursor": f"{feed.log.hex()}.{after}"}).decode())
    async for batch in feed.follow(after):
        for event in batch:
            for text in _texts(event, wanted):
                await socket.send_text(text)


class Message:
    """One thing that an event is: whom it concerns, and its text, written once however many are told."""

    __slots__ = ("_plain", "_view", "_whole", "concerned", "fields", "names")

    def __init__(self, view: EventView, name: str, fields: dict[str, Any]) -> None:
        self.names = {view.kind, view.kind.split(".", 1)[0], name, name.split(":", 1)[0]}
        agent = fields.get("taskId") or fields.get("nodeId") or view.subject
        self.concerned = {view.subject, view.actor, agent, *fields.get("affectedComponents", ())}
        self.fields = {"type": name, "agent": agent, "cursor": view.cursor, **fields}
        self._view = view
        self._whole = self._plain = ""

    def text(self, whole: bool) -> str:
        """With the event itself, or without."""
        if whole:
            self._whole = self._whole or msgspec.json.encode(self.fields | {"event": self._view}).decode()
            return self._whole
        self._plain = self._plain or msgspec.json.encode(self.fields).decode()
        return self._plain

    def is_for(self, wanted: Subscribe) -> bool:
        return (not wanted.events or not self.names.isdisjoint(wanted.events)) and (
            not wanted.agents or not self.concerned.isdisjoint(wanted.agents)
        )


@lru_cache(RING_EVENTS)
def _messages(event: Published) -> tuple[Message, ...]:
    """What an event is, for everybody who follows."""
    view = event.view
    return tuple(Message(view, name, fields) for name, fields in swarm_events(view) or [(view.kind, {})])


def _texts(event: Published, wanted: Subscribe) -> Iterator[str]:
    """What a subscriber is told of an event: a message for each thing that it is, the event itself with the first."""
    whole = True
    for message in _messages(event):
        if message.is_for(wanted):
            yield message.text(whole)
            whole = False
