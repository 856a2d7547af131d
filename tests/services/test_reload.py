"""A coordinator that gives its state up: it comes back by itself, also when the way back fails at first."""

import asyncio
from pathlib import Path

from quorate.adapters.blob_files import FileBlobs, LayeredBlobs
from quorate.adapters.link_hub import LinkHub
from quorate.adapters.sqlite import SqliteStore
from quorate.adapters.system import SystemClock, SystemEntropy
from quorate.base.errors import DATABASE, QuorateError
from quorate.base.signing import Ed25519Signer, verify
from quorate.dispatch import VALIDATORS
from quorate.model import Noted
from quorate.ports import Store
from quorate.services.coordinator import Coordinator, CoordinatorSettings, Observer
from quorate.services.coordinator.messages import Write

FAILED_STARTS = 2


def test_a_start_that_fails_after_the_store_was_opened_does_not_lock_out_the_next(tmp_path: Path) -> None:
    opened: list[SqliteStore] = []

    async def full(*_: object) -> int:
        raise QuorateError(DATABASE, "no space left")

    async def open_store() -> Store:
        store = await SqliteStore.open(tmp_path / "data")
        opened.append(store)
        if 1 < len(opened) <= 1 + FAILED_STARTS:  # the disk is still full when the epoch is to be written
            store.open_epoch = full  # type: ignore[method-assign]
        return store

    async def story() -> None:
        clock, entropy = SystemClock(), SystemEntropy()
        coordinator = Coordinator(
            settings=CoordinatorSettings(),
            signer=Ed25519Signer(bytes(32)),
            verify=verify,
            open_store=open_store,
            open_blobs=lambda store: LayeredBlobs(store, FileBlobs(tmp_path / "blobs")),
            wire=LinkHub(entropy),
            clock=clock,
            entropy=entropy,
            admin_token="admin",
            validators=VALIDATORS,
            observer=Observer(clock.now, lambda *_, **__: None),
        )
        await coordinator.start()
        running = asyncio.create_task(coordinator.run())
        admin = coordinator.machine.realm.grants.for_token("admin", clock.now())
        await coordinator.ask(admin, "event:emit", Write("note", b"", Noted("kept", b"1")))
        opened[0].commit = full  # type: ignore[method-assign]
        try:
            await coordinator.ask(admin, "event:emit", Write("note", b"", Noted("lost", b"2")))
        except QuorateError as error:
            assert error.code == DATABASE
        async with asyncio.timeout(10):
            while not coordinator.ready:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert len(opened) == 2 + FAILED_STARTS
        await coordinator.ask(admin, "event:emit", Write("note", b"", Noted("after", b"3")))
        assert coordinator.feed.position == 4, "founded, granted, kept, after"
        await coordinator.stop()
        await running

    asyncio.run(story())
