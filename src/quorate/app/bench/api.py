"""`api`: requests answered by one coordinator, beside the web framework's own hello behind the same server.

Ours are authorised, validated and (writes) durable and idempotent before they are answered; the hello checks a small
body and keeps nothing. Both get the same prepared requests from the same generator, alternating.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import msgspec

from quorate.app.bench import sockets
from quorate.app.bench.child import Child
from quorate.app.bench.figures import Figure, figure, quantile
from quorate.app.bench.load import Order, Outcome
from quorate.app.bench.machine import sync_ms
from quorate.app.bench.swarm import Swarm
from quorate.base.errors import invariant

CONNECTIONS = 32
DISTINCT = 500
Shots = dict[str, list[Outcome]]


async def measure(place: Path, quick: bool) -> list[Figure]:
    """`api.get_s`, `api.post_s`, `api.post_noop_s`, `api.ws_bytes`, `api.ws_events_s`."""
    runs, gets, posts = (2, 1_000, 400) if quick else (7, 6_000, 3_000)
    shots: Shots = {"get": [], "post": [], "noop": [], "hello get": [], "hello post": []}
    async with Swarm(place / "swarm", 0, 1) as swarm, Child("hello", place) as hello:
        ids = [(await swarm.client.create_task(f"task {index}", tags=["bench"])).id for index in range(DISTINCT)]
        port = int(hello.said["port"])
        for _ in range(runs + 1):  # the first warms both
            reads = [ids[index % DISTINCT] for index in range(gets)]
            work = [{"title": f"task {index}", "tags": ["bench"]} for index in range(posts)]
            noop = [{"title": f"task {index}", "executor": "noop"} for index in range(posts)]
            for name, target, requests in (
                ("get", swarm.port, [_get(f"/api/v1/tasks/{id}", swarm.token) for id in reads]),
                ("hello get", port, [_get(f"/tasks/{id}", "") for id in reads]),
                ("post", swarm.port, [_post("/api/v1/tasks", body, swarm.token) for body in work]),
                ("hello post", port, [_post("/tasks", body, "") for body in work]),
                ("noop", swarm.port, [_post("/api/v1/tasks", body, swarm.token) for body in noop]),
            ):
                shots[name].append(await _shoot(place, target, requests))
        found = _figures({name: outcomes[1:] for name, outcomes in shots.items()}, place)
    return found + await sockets.measure(place, quick)


def _figures(shots: Shots, place: Path) -> list[Figure]:
    rates = {name: [len(one.latencies_ms) / one.seconds for one in outcomes] for name, outcomes in shots.items()}
    p95 = {name: median(quantile(one.latencies_ms, 0.95) for one in outcomes) for name, outcomes in shots.items()}
    door = f"bearer token checked, right checked, body validated; {CONNECTIONS} connections"
    durable = f"{door}; synced before the answer, under an idempotency key each; one sync {sync_ms(place):.2f} ms"
    return [
        figure(
            "api.get_s",
            rates["get"],
            f"GET of {DISTINCT} tasks in turn; {door}; p95 {p95['get']:.1f} ms",
            {"litestar hello": rates["hello get"]},
        ),
        figure(
            "api.post_s",
            rates["post"],
            f"POST of a task of the work tree; {durable}; p95 {p95['post']:.1f} ms",
            {"litestar hello": rates["hello post"]},
        ),
        figure(
            "api.post_noop_s",
            rates["noop"],
            f"POST of a task that runs on a node (none is there); {durable}; p95 {p95['noop']:.1f} ms",
            {"litestar hello": rates["hello post"]},
        ),
    ]


def _get(path: str, token: str) -> bytes:
    return _head("GET", path, token) + b"\r\n"


def _post(path: str, body: Mapping[str, object], token: str) -> bytes:
    data = msgspec.json.encode(body)
    key = secrets.token_hex(16)
    more = f"content-type: application/json\r\ncontent-length: {len(data)}\r\nidempotency-key: {key}\r\n\r\n"
    return _head("POST", path, token) + more.encode() + data


def _head(method: str, path: str, token: str) -> bytes:
    bearer = f"authorization: Bearer {token}\r\n" if token else ""
    return f"{method} {path} HTTP/1.1\r\nhost: bench\r\naccept: application/json\r\n{bearer}".encode()


async def _shoot(place: Path, port: int, requests: list[bytes]) -> Outcome:
    order = place / "order"
    order.write_bytes(msgspec.msgpack.encode(Order(port, CONNECTIONS, requests)))
    async with Child("load", place, str(order)) as child:
        outcome = msgspec.convert(child.said, Outcome, strict=False)
    answered = sum(count for status, count in outcome.statuses.items() if status in (200, 201))
    invariant(answered == len(requests), f"answers were {outcome.statuses}")
    return outcome
