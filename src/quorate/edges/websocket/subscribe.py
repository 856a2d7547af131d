"""`/ws`: subscribe to events (agent-framework, open-swarm), resumed by cursor.

The token comes in the Authorization header, or (browsers cannot set one) in the first message.
"""

import asyncio
from typing import Any

import msgspec
from litestar import WebSocket
from litestar.exceptions import WebSocketDisconnect
from litestar.handlers import websocket
from msgspec import Struct

from quorate.base.errors import DENIED, INVALID, QuorateError, require
from quorate.edges.http import Gate, error_view
from quorate.model.views import EventView
from quorate.services.coordinator import parse_cursor

HELLO_S = 10.0


class Subscribe(Struct, rename="camel"):
    """`events` are kinds or open-swarm names; `agents` are subjects or node ids; empty: all."""

    type: str
    token: str = ""
    events: list[str] = []
    agents: list[str] = []
    since: str = ""


def swarm_event(view: EventView) -> tuple[str, dict[str, Any]] | None:
    """The event of open-swarm section 3.3 that this one is, if any: fields that were not measured are absent."""
    body = view.body or {}
    if view.kind == "task.settled":
        results = [{"node": r["node"], "code": r["code"], "output": r["output"]} for r in body["agreed"]]
        name = "task:completed" if body["state"] == "completed" else "task:failed"
        return name, {"taskId": view.subject, "results": results, "reason": body["reason"]}
    if view.kind == "task.answered":
        return "task:progress", {"taskId": view.subject, "currentStep": "validating"}
    if view.kind == "node.joined":
        return "node:connected", {"nodeId": body["node"], "capabilities": body["capabilities"]}
    if view.kind == "node.changed" and body["state"] == "online":
        return "node:connected", {"nodeId": body["node"]}
    if view.kind == "node.changed" and body["state"] == "offline":
        return "node:disconnected", {"nodeId": body["node"], "reason": body["reason"]}
    if view.kind == "note":
        return f"note:{body['type']}", {"data": body["data"]}
    return None


def subscribe_route(gate: Gate) -> Any:
    """The route."""

    @websocket("/ws")
    async def ws(socket: WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        try:
            wanted = await _subscribe(gate, socket)
        except QuorateError as error:
            view, _ = error_view(error, "")
            await socket.send_text(msgspec.json.encode({"type": "error", "error": view}).decode())
            await socket.close(code=1008, reason=error.message[:120])
            return
        except WebSocketDisconnect:
            return
        writer = asyncio.create_task(_write(gate, socket, wanted))
        try:
            while True:
                await socket.receive_text()  # a client may talk; only its first message is an order
        except (WebSocketDisconnect, RuntimeError):
            return
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    return ws


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
            message = _message(event.view, wanted)
            if message is not None:
                await socket.send_text(msgspec.json.encode(message).decode())


def _message(view: EventView, wanted: Subscribe) -> dict[str, Any] | None:
    mapped = swarm_event(view)
    names = {view.kind, view.kind.split(".", 1)[0]} | ({mapped[0]} if mapped else set())
    if wanted.events and names.isdisjoint(wanted.events):
        return None
    concerned = {view.subject, view.actor, str((view.body or {}).get("node", ""))}
    if wanted.agents and concerned.isdisjoint(wanted.agents):
        return None
    message: dict[str, Any] = {"type": mapped[0] if mapped else view.kind, "agent": view.subject, "event": view}
    return message | (mapped[1] if mapped else {})
