"""`quorate up`: one coordinator, its doors, until a signal."""

import asyncio
import gc
import os
import signal
from pathlib import Path
from typing import Any

import uvicorn
from msgspec import Struct

from quorate.adapters.blob_files import FileBlobs, LayeredBlobs
from quorate.adapters.keyfile import load_or_create_key, load_or_create_secret
from quorate.adapters.link_hub import LinkHub
from quorate.adapters.private_files import private_directory
from quorate.adapters.sqlite import SqliteStore
from quorate.adapters.system import SystemClock, SystemEntropy
from quorate.app.logs import make_logger
from quorate.app.output import emit
from quorate.app.packs import load_packs
from quorate.app.web import build_app
from quorate.base.errors import IPC, QuorateError
from quorate.base.limits import USER_RATE_REQUESTS_S
from quorate.base.signing import verify
from quorate.dispatch import VALIDATORS
from quorate.ports import Blobs, Pack, Store
from quorate.services.coordinator import OPERATIONS, Coordinator, CoordinatorSettings, Observer, PackKind, run_service

ADMIN_SECRET_BYTES = 24
STARTUP_POLL_S = 0.005


class UpSettings(Struct, frozen=True):
    """How a coordinator is started. Port 0: any free one."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 8080
    name: str = "quorate"
    log_level: str = "info"
    log_form: str = "console"
    packs: tuple[str, ...] = ()
    cors: tuple[str, ...] = ()
    rate: int = USER_RATE_REQUESTS_S
    heartbeat_ms: int = CoordinatorSettings().heartbeat_ms
    lost_ms: int = CoordinatorSettings().lost_ms
    announce: str = "text"


def admin_token(data: Path) -> str:
    """The first admin token of a data directory, made when it is new. It lies in `admin.token`, mode 0600."""
    return "admin-" + load_or_create_secret(data / "admin.token", ADMIN_SECRET_BYTES).hex()


def compose(settings: UpSettings, packs: tuple[Pack, ...], say: Any) -> tuple[Coordinator, LinkHub, tuple[Any, ...]]:
    """Everything that a coordinator is made of."""
    private_directory(settings.data)
    clock, entropy = SystemClock(), SystemEntropy()
    hub = LinkHub(entropy)
    operations = OPERATIONS + tuple(op for pack in packs for op in pack.operations)
    paths = {op.name: f"/api/v1{op.rest[1]}" for op in operations if op.rest}

    async def open_store() -> Store:
        return await SqliteStore.open(settings.data)

    def open_blobs(store: Store) -> Blobs:
        return LayeredBlobs(store, FileBlobs(settings.data / "blobs"))

    coordinator = Coordinator(
        settings=CoordinatorSettings(
            name=settings.name,
            heartbeat_ms=settings.heartbeat_ms,
            lost_ms=settings.lost_ms,
            executors=CoordinatorSettings().executors + tuple(e.name for pack in packs for e in pack.executors),
        ),
        signer=load_or_create_key(settings.data / "authority.key"),
        verify=verify,
        open_store=open_store,
        open_blobs=open_blobs,
        wire=hub,
        clock=clock,
        entropy=entropy,
        admin_token=admin_token(settings.data),
        validators={**VALIDATORS, **{v.name: v.key for pack in packs for v in pack.validators}},
        observer=Observer(clock.now, say),
        kinds=tuple(
            PackKind(k.name, k.body, k.fold, k.initial, k.authority_only) for pack in packs for k in pack.kinds
        ),
        panels=tuple((p.name, p.title, paths.get(p.operation, "")) for pack in packs for p in pack.panels),
    )
    return coordinator, hub, operations


async def serve(settings: UpSettings) -> None:
    """Run until SIGTERM or SIGINT; then drain, save and return."""
    log = make_logger(settings.log_level, settings.log_form, service="coordinator")
    packs = load_packs(settings.packs)
    coordinator, hub, operations = compose(settings, packs, log.warning)
    await _load(coordinator)
    web = build_app(coordinator, hub, operations, log, settings.cors, settings.rate)
    server = uvicorn.Server(server_config(web, settings.host, settings.port))
    running = asyncio.create_task(coordinator.run())
    beside = [asyncio.create_task(run_service(coordinator, service)) for pack in packs for service in pack.services]
    serving = asyncio.create_task(_serve_quietly(server))
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    while not server.started and not serving.done():  # noqa: ASYNC110
        await asyncio.sleep(STARTUP_POLL_S)
    if not serving.done():
        port = server.servers[0].sockets[0].getsockname()[1]
        announce(settings, port, coordinator)
        await asyncio.wait(
            (asyncio.create_task(stopping.wait()), serving, running), return_when=asyncio.FIRST_COMPLETED
        )
    server.should_exit = True
    for service in beside:
        service.cancel()
    await asyncio.gather(*beside, return_exceptions=True)
    await coordinator.stop()
    results = await asyncio.gather(running, serving, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _load(coordinator: Coordinator) -> None:
    """Start with the cycle collector off: all that is loaded stays, and looking it over again and again takes a third
    of the time. What is there then is left out of later rounds."""
    gc.disable()
    try:
        await coordinator.start()
        gc.collect()
        gc.freeze()
    finally:
        gc.enable()


def server_config(app: Any, host: str, port: int) -> uvicorn.Config:
    """How the web server runs, here and where it is measured against something else."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=16 * 1024 * 1024,
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        timeout_graceful_shutdown=2,
    )


async def _serve_quietly(server: uvicorn.Server) -> None:
    try:
        await server._serve()  # `serve` would take the signals for itself
    except SystemExit:
        config = server.config
        hint = "Choose another with --port, or --port 0 for any free one"
        raise QuorateError(IPC, f"cannot listen on {config.host}:{config.port}", hint) from None


def announce(settings: UpSettings, port: int, coordinator: Coordinator) -> None:
    """Say where the coordinator is, on standard output, for people or for programs."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104
    emit(
        settings.announce == "json",
        {
            "url": f"http://{host}:{port}",
            "token": admin_token(settings.data),
            "realm": coordinator.machine.realm.id.hex(),
            "authority": coordinator.machine.realm.authority.hex(),
            "data": str(settings.data),
            "pid": os.getpid(),
        },
    )
