"""The virtual disk: what was acknowledged survives, what was torn is dropped whole, a failed sync ends the store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from quorate.base.dice import Dice
from quorate.base.errors import CONFLICT, DATABASE, NOT_FOUND, TOO_LARGE, QuorateError
from quorate.base.ids import hash_id
from quorate.model import Keep, Project, Row, Save, Sealed
from quorate.ports import Group, RowFilter
from quorate.sim.disk import SimBlobs, SimDisk, SimStore
from quorate.sim.loop import VirtualLoop
from quorate.sim.process import SimProcess
from quorate.sim.trace import Trace


def _stage(main: Callable[[VirtualLoop, SimDisk], Awaitable[None]], seed: int = 1) -> None:
    loop = VirtualLoop(Dice(seed))
    disk = SimDisk("disk", Dice(seed), Trace(loop))

    async def body() -> None:
        await main(loop, disk)

    loop.run(body(), virtual_s=100, steps=100_000)
    loop.close()


def _group(i: int, events: int = 2) -> Group:
    batch = tuple(Sealed(b"head %d %d" % (i, k), b"salt", b"body", b"sig") for k in range(events))
    row = Row(b"", "on", "", i, b"record %d" % i)
    return Group(
        batch,
        (Save("last", b"%d" % i),),
        (Keep(hash_id(b"%d" % i), b"%d" % i),),
        (Project("things", b"%d" % i, row), Project("things", b"%d" % (i - 2), None)),
    )


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_a_crash_keeps_all_that_was_acknowledged_and_no_half_group(seed: int, torn: bool) -> None:
    async def main(loop: VirtualLoop, disk: SimDisk) -> None:
        dice = Dice(seed)
        acknowledged = 0
        for life in range(8):
            process = SimProcess(loop, f"life{life}")
            store = SimStore(disk, process)

            async def work(store: SimStore = store) -> None:
                nonlocal acknowledged
                epoch = await store.open_epoch()
                size = await store.size()
                while True:
                    size = await store.commit(_group(size // 2), epoch, size)
                    acknowledged = size

            process.spawn(work(), "work")
            await asyncio.sleep(dice.uniform(0.001, 0.02))
            before = acknowledged
            process.kill()
            disk.recover(torn)
            await process.buried()
            tables = disk.tables
            assert acknowledged == before
            assert len(tables.events) % 2 == 0
            assert before <= len(tables.events) <= before + (0 if torn else 2)
            groups = len(tables.events) // 2
            assert tables.saves.get("last") == (b"%d" % (groups - 1) if groups else None)
            assert sorted(tables.rows.get("things", {})) == sorted(b"%d" % i for i in range(max(0, groups - 2), groups))
            acknowledged = len(tables.events)
        assert acknowledged > 0
        assert disk.replay() == disk.tables

    _stage(main, seed)


def test_a_failed_sync_ends_the_store_and_another_opens_again() -> None:
    async def main(loop: VirtualLoop, disk: SimDisk) -> None:
        process = SimProcess(loop, "p")
        store = SimStore(disk, process)
        epoch = await store.open_epoch()
        await store.commit(_group(0), epoch, 0)
        disk.weather.sync_fails = 1
        for _ in range(2):
            with pytest.raises(QuorateError) as caught:
                await store.commit(_group(1), epoch, 2)
            assert caught.value.code == DATABASE
        with pytest.raises(QuorateError):
            await store.size()
        disk.recover()
        again = SimStore(disk, process)
        assert await again.size() in (2, 4)
        assert await again.open_epoch() == epoch + 1

    _stage(main)


def test_an_older_epoch_and_a_wrong_expectation_are_fenced_off() -> None:
    async def main(loop: VirtualLoop, disk: SimDisk) -> None:
        process = SimProcess(loop, "p")
        old, new = SimStore(disk, process), SimStore(disk, process)
        first = await old.open_epoch()
        assert await old.commit(_group(0), first, 0) == 2
        with pytest.raises(QuorateError) as caught:
            await old.commit(_group(1), first, 0)
        assert caught.value.code == CONFLICT
        second = await new.open_epoch()
        with pytest.raises(QuorateError) as caught:
            await old.append(_group(1).events, first, 2)
        assert caught.value.code == CONFLICT
        assert await new.append(_group(1).events, second, 2) == 4
        assert [position async for position, _ in new.read(1, 2)] == [2, 3]
        assert await new.position_of(hash_id(b"head 1 1")) == 4
        assert await new.load("last") == b"0"
        await new.save("last", b"x")
        assert await new.load("last") == b"x"

    _stage(main)


def test_rows_are_filtered_newest_first() -> None:
    async def main(loop: VirtualLoop, disk: SimDisk) -> None:
        store = SimStore(disk, SimProcess(loop, "p"))
        epoch = await store.open_epoch()
        rows = tuple(
            Project("t", b"%d" % i, Row(b"even" if i % 2 == 0 else b"odd", "ab"[i % 3 == 0], "me", i, b""))
            for i in range(9)
        )
        await store.commit(Group((), (), (), rows), epoch, 0)
        assert [key for key, _ in store.rows("t", RowFilter(parent=b"even", limit=3))] == [b"8", b"6", b"4"]
        assert [key for key, _ in store.rows("t", RowFilter(states=("b",), before=6))] == [b"3", b"0"]
        assert store.rows("t", RowFilter(owner="you")) == []
        assert store.counts("t") == {"b": 3, "a": 6}
        assert store.row("t", b"4") is not None
        assert store.row("t", b"9") is None

    _stage(main)


def test_a_blob_is_there_once_it_was_acknowledged() -> None:
    async def parts(*items: bytes) -> AsyncIterator[bytes]:
        for item in items:
            yield item

    async def main(loop: VirtualLoop, disk: SimDisk) -> None:
        process = SimProcess(loop, "p")
        blobs = SimBlobs(disk, process)
        whole = b"ab" * 300_000
        id = await blobs.put(parts(whole[:7], whole[7:]), 1 << 20)
        assert id == hash_id(whole)
        assert b"".join([part async for part in blobs.get(id)]) == whole
        assert await blobs.part(id, 3, 4) == b"baba"
        assert await blobs.size(id) == len(whole)
        with pytest.raises(QuorateError) as caught:
            await blobs.put(parts(b"123", b"456"), 5)
        assert caught.value.code == TOO_LARGE
        with pytest.raises(QuorateError) as caught:
            await blobs.part(bytes(32), 0, 1)
        assert caught.value.code == NOT_FOUND
        putting = process.spawn(blobs.put(parts(b"unfinished"), 100), "put")
        await asyncio.sleep(0)
        process.kill()
        await process.buried()
        assert putting.cancelled()
        assert hash_id(b"unfinished") not in disk.blobs

    _stage(main)
