"""The limit of the WebSocket figures: a bare `websockets` server with prepared messages. Run as a child process."""

import msgspec
from websockets.asyncio.server import ServerConnection, serve

from quorate.app.bench.child import orders, say
from quorate.app.loops import run


async def answer(socket: ServerConnection) -> None:
    """The first message says how many messages of how many bytes; one more comes first."""
    order = msgspec.json.decode(await socket.recv())
    message = "x" * order["bytes"]
    await socket.send("subscribed")
    for _ in range(order["events"]):
        await socket.send(message)
    await socket.wait_closed()


async def listen() -> None:
    """Serve until the parent goes."""
    async with serve(answer, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        say({"port": next(iter(server.sockets)).getsockname()[1]})
        await (await orders()).read()


if __name__ == "__main__":
    run(listen())
