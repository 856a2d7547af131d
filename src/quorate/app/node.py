"""`quorate node`: one node of somebody else's coordinator, until a signal."""

import asyncio
import os
import platform
import signal
from pathlib import Path

from msgspec import Struct

from quorate.adapters.executors import Command, Liar, Noop, Sleepy
from quorate.adapters.keyfile import load_or_create_key
from quorate.adapters.link_dialer import LinkDialer
from quorate.adapters.private_files import private_directory
from quorate.adapters.records import FileRecords
from quorate.adapters.sandbox import Sandbox
from quorate.adapters.system import SystemClock, SystemEntropy
from quorate.app.logs import make_logger
from quorate.app.output import emit
from quorate.app.packs import load_packs
from quorate.base.errors import require
from quorate.base.ids import HASH_BYTES, parse_id
from quorate.base.limits import DRAIN_MS
from quorate.base.signing import verify
from quorate.ports import Executor
from quorate.services.node import Node, NodeSettings


class NodeOptions(Struct, frozen=True):
    """How a node is started. `drill` makes it misbehave on purpose: `lie=333` (per mille), `sleep=100`."""

    url: str
    data: Path
    token: str = ""
    name: str = ""
    slots: int = 0
    authority: str = ""
    network: bool = False
    drill: str = ""
    packs: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    drain_ms: int = DRAIN_MS
    log_level: str = "info"
    log_form: str = "console"
    announce: str = "text"


def executors_of(options: NodeOptions) -> dict[str, Executor]:
    """What this node runs: its own executors, those of packs, and what a drill makes of them."""
    command = Command(Sandbox.probed(), network=options.network)
    found: list[Executor] = [command, Noop()] if command.usable else [Noop()]
    found += [executor for pack in load_packs(options.packs) for executor in pack.executors]
    return {executor.name: drilled(executor, options.drill) for executor in found}


def drilled(executor: Executor, drill: str) -> Executor:
    """The executor, or one that misbehaves as the drill says."""
    if not drill:
        return executor
    kind, _, share = drill.partition("=")
    require(
        kind in ("lie", "sleep") and share.isdecimal() and int(share) <= 1000,
        f"drill {drill!r}: use lie=333 or sleep=100",
    )
    return (Liar if kind == "lie" else Sleepy)(executor, int(share), 0)


async def serve(options: NodeOptions) -> None:
    """Run until SIGTERM or SIGINT; then finish or hand back what runs."""
    log = make_logger(options.log_level, options.log_form, service="node", node_id=options.name)
    private_directory(options.data)
    signer = load_or_create_key(options.data / "node.key")
    settings = NodeSettings(
        name=options.name or f"{platform.node() or 'node'}-{signer.public.hex()[:6]}",
        slots=options.slots or max(1, os.cpu_count() or 1),
        join=options.token,
        authority=parse_id(options.authority, HASH_BYTES, "authority") if options.authority else b"",
    )
    node = Node(
        settings=settings,
        signer=signer,
        verify=verify,
        wire=LinkDialer(options.url, SystemEntropy(), log.info),
        clock=SystemClock(),
        records=FileRecords(options.data),
        executors=executors_of(options),
        capabilities=options.capabilities,
    )
    emit(
        options.announce == "json",
        {
            "node": signer.public.hex(),
            "name": settings.name,
            "slots": settings.slots,
            "capabilities": list(node.capabilities),
            "pid": os.getpid(),
        },
    )
    running = asyncio.create_task(node.run())
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await asyncio.wait((running, asyncio.create_task(stopping.wait())), return_when=asyncio.FIRST_COMPLETED)
    if stopping.is_set() and not running.done():
        log.info("draining")
        await node.stop(drain_ms=options.drain_ms)
    await running
