"""The peer of `api`: the web framework's own hello, behind the same server with the same settings.

One route answers a small struct, the other checks a small body first. No caller is known and nothing is kept.
Run as a child process.
"""

import asyncio

import uvicorn
from litestar import Litestar, get, post
from msgspec import Struct

from quorate.app.bench.child import orders, say
from quorate.app.loops import run
from quorate.app.up import server_config

STARTUP_POLL_S = 0.005


class Hello(Struct):
    """What it answers."""

    id: str
    title: str
    state: str


class New(Struct, forbid_unknown_fields=True):
    """What it takes."""

    title: str
    tags: list[str] = []


@get("/tasks/{id:str}")
async def show(id: str) -> Hello:
    """A small struct."""
    return Hello(id, "hello", "queued")


@post("/tasks")
async def create(data: New) -> Hello:
    """A small struct, of a body that was checked."""
    return Hello("new", data.title, "queued")


async def serve() -> None:
    """Serve until the parent goes."""
    app = Litestar([show, create], openapi_config=None, logging_config=None)
    server = uvicorn.Server(server_config(app, "127.0.0.1", 0))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(STARTUP_POLL_S)
    say({"port": server.servers[0].sockets[0].getsockname()[1]})
    await (await orders()).read()
    server.should_exit = True
    await serving


if __name__ == "__main__":
    run(serve())
