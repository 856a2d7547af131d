"""Blobs as files: whole or absent, never damaged, nothing left lying about."""

import asyncio
import os
import stat
import subprocess
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.store_contract import refused
from quorate.adapters import blob_files
from quorate.adapters.blob_files import FileBlobs, LayeredBlobs
from quorate.adapters.sqlite import SqliteStore
from quorate.base.dice import Dice
from quorate.base.errors import DATABASE, INVALID, NOT_FOUND, TOO_LARGE
from quorate.base.ids import hash_id
from quorate.base.limits import BLOB_PART_BYTES
from quorate.model import Keep
from quorate.ports import Blobs, Group

LARGE = Dice(1).randbytes(2 * BLOB_PART_BYTES + 1234)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def parts(*data: bytes) -> AsyncIterator[bytes]:
    for part in data:
        yield part


async def whole(blobs: Blobs, id: bytes) -> bytes:
    return b"".join([part async for part in blobs.get(id)])


def path_of(root: Path, id: bytes) -> Path:
    return root / id.hex()[:2] / id.hex()[2:]


def leftovers(root: Path) -> list[str]:
    return os.listdir(root / "drafts")


@pytest.mark.parametrize(
    "data", [b"", b"a", LARGE[:BLOB_PART_BYTES], LARGE[: BLOB_PART_BYTES + 1], LARGE], ids=lambda data: str(len(data))
)
def test_what_was_put_is_there_after_a_restart(tmp_path: Path, data: bytes) -> None:
    async def work() -> None:
        blobs = FileBlobs(tmp_path)
        id = await blobs.put(parts(data[:10], b"", data[10:]), len(data))
        assert id == hash_id(data)
        for one in (blobs, FileBlobs(tmp_path)):
            assert await whole(one, id) == data
            assert await one.size(id) == len(data)
            assert await one.part(id, 0, len(data) + 5) == data
            assert await one.part(id, 3, 4) == data[3:7]
            assert await one.part(id, len(data), 4) == b""
            assert await one.part(id, len(data) + 100, 4) == b""
            assert await one.part(id, 0, 0) == b""
        assert path_of(tmp_path, id).read_bytes() == data
        assert leftovers(tmp_path) == []

    run(work())


@settings(max_examples=25)
@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(0, 60), st.integers(0, 60))
def test_parts_in_any_cut_make_the_same_blob(
    tmp_path_factory: pytest.TempPathFactory, cut: list[bytes], offset: int, limit: int
) -> None:
    async def work() -> None:
        blobs = FileBlobs(tmp_path_factory.mktemp("cut"))
        data = b"".join(cut)
        id = await blobs.put(parts(*cut), 1000)
        assert id == hash_id(data)
        assert await blobs.part(id, offset, limit) == data[offset : offset + limit]

    run(work())


def test_get_gives_parts_not_the_whole(tmp_path: Path) -> None:
    async def work() -> None:
        blobs = FileBlobs(tmp_path)
        id = await blobs.put(parts(LARGE), len(LARGE))
        assert [len(part) async for part in blobs.get(id)] == [BLOB_PART_BYTES, BLOB_PART_BYTES, 1234]

    run(work())


def test_too_large_is_refused_early_and_leaves_nothing(tmp_path: Path) -> None:
    taken = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            taken.append(1)
            yield bytes(BLOB_PART_BYTES)

    async def work() -> None:
        blobs = FileBlobs(tmp_path)
        await refused(TOO_LARGE, blobs.put(endless(), 3 * BLOB_PART_BYTES))
        assert len(taken) == 4
        await refused(TOO_LARGE, blobs.put(parts(b"abcd"), 3))
        assert await blobs.put(parts(b"abc"), 3) == hash_id(b"abc")
        assert leftovers(tmp_path) == []

    run(work())


def test_the_limit_of_all_blobs_holds_whatever_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_files, "BLOB_MAX_BYTES", 10)
    run(refused(TOO_LARGE, FileBlobs(tmp_path).put(parts(b"a" * 11), 1000)))


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    async def breaks() -> AsyncIterator[bytes]:
        yield LARGE
        raise ConnectionResetError

    async def work() -> None:
        blobs = FileBlobs(tmp_path)
        with pytest.raises(ConnectionResetError):
            await blobs.put(breaks(), len(LARGE) * 2)
        assert sorted(os.listdir(tmp_path)) == ["drafts"]
        assert leftovers(tmp_path) == []

    run(work())


def test_an_upload_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        blobs = FileBlobs(tmp_path)
        arrived = asyncio.Event()

        async def stalls() -> AsyncIterator[bytes]:
            yield LARGE
            arrived.set()
            await asyncio.Event().wait()

        upload = asyncio.create_task(blobs.put(stalls(), len(LARGE) * 2))
        await arrived.wait()
        assert len(leftovers(tmp_path)) == 1
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload
        assert leftovers(tmp_path) == []

    run(work())


def test_what_a_crash_left_is_removed_at_start_and_nothing_else(tmp_path: Path) -> None:
    blobs = FileBlobs(tmp_path)
    id = run(blobs.put(parts(b"kept"), 10))
    (tmp_path / "drafts" / "0123").write_bytes(b"half")
    blobs = FileBlobs(tmp_path)
    assert leftovers(tmp_path) == []
    assert run(whole(blobs, id)) == b"kept"


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    id = run(FileBlobs(root).put(parts(b"secret"), 10))
    assert stat.S_IMODE(path_of(root, id).stat().st_mode) == 0o600
    for place in (root, root / "drafts", path_of(root, id).parent):
        assert stat.S_IMODE(place.stat().st_mode) == 0o700


@pytest.mark.parametrize("id", [bytes(32), b"", b"short", bytes(33), b"../../etc/passwd"], ids=repr)
def test_what_is_not_here_is_not_found(tmp_path: Path, id: bytes) -> None:
    async def work() -> None:
        blobs = FileBlobs(tmp_path)
        assert await blobs.size(id) is None
        await refused(NOT_FOUND, whole(blobs, id))
        await refused(NOT_FOUND, blobs.part(id, 0, 10))

    run(work())


@pytest.mark.parametrize("damage", ["flipped bit", "cut short", "longer", "empty"])
def test_a_damaged_file_is_reported_and_never_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(blob_files, "_SETTLED_NS", 0)
    flipped = LARGE[:-1] + bytes([LARGE[-1] ^ 1])
    damaged = {"flipped bit": flipped, "cut short": LARGE[:-1], "longer": LARGE + b"x", "empty": b""}[damage]

    async def work() -> None:
        blobs = FileBlobs(tmp_path)
        id = await blobs.put(parts(LARGE), len(LARGE))
        assert await blobs.part(id, 0, 10) == LARGE[:10]
        change(path_of(tmp_path, id), damaged)
        error = await refused(DATABASE, anext(blobs.get(id)))  # not even the parts before the damage
        assert "damaged" in error.message
        for one in (blobs, FileBlobs(tmp_path)):
            await refused(DATABASE, one.part(id, 0, 10))
        assert await blobs.put(parts(LARGE), len(LARGE)) == id, "storing it again mends it"
        assert await whole(blobs, id) == LARGE
        assert await blobs.part(id, 0, 10) == LARGE[:10]

    run(work())


def change(path: Path, data: bytes) -> None:
    """Write until the file's clock shows it."""
    before = path.stat().st_ctime_ns
    while path.stat().st_ctime_ns == before:
        path.write_bytes(data)


def test_a_file_of_this_moment_is_not_trusted_to_be_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second change within the same tick of the file's clock could not be seen."""
    monkeypatch.setattr(blob_files, "_SETTLED_NS", 10**15)
    hashed = count_hashing(monkeypatch)

    async def work() -> None:
        blobs = FileBlobs(tmp_path)
        id = await blobs.put(parts(b"good"), 10)
        for _ in range(3):
            assert await blobs.part(id, 0, 10) == b"good"
        assert len(hashed) == 3

    run(work())


def count_hashing(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    hashed: list[int] = []
    hash_of = blob_files._hash_of

    def counted(descriptor: int) -> bytes:
        hashed.append(descriptor)
        return hash_of(descriptor)

    monkeypatch.setattr(blob_files, "_hash_of", counted)
    return hashed


def test_damage_between_two_parts_is_noticed(tmp_path: Path) -> None:
    async def work() -> None:
        blobs = FileBlobs(tmp_path)
        id = await blobs.put(parts(LARGE), len(LARGE))
        reading = blobs.get(id)
        assert await anext(reading) == LARGE[:BLOB_PART_BYTES]
        change(path_of(tmp_path, id), bytes(len(LARGE)))
        await refused(DATABASE, anext(reading))

    run(work())


def test_a_blob_is_hashed_once_while_its_file_is_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_files, "BLOBS_CHECKED_MAX", 2)
    monkeypatch.setattr(blob_files, "_SETTLED_NS", 0)
    hashed = count_hashing(monkeypatch)

    async def work() -> None:
        blobs = FileBlobs(tmp_path)
        ids = [await blobs.put(parts(b"%d" % n), 10) for n in range(3)]
        for _ in range(3):
            await blobs.part(ids[0], 0, 10)
        assert len(hashed) == 1
        await blobs.part(ids[1], 0, 10)
        await blobs.part(ids[2], 0, 10)
        await blobs.part(ids[0], 0, 10)
        assert len(hashed) == 4, "only the last few are remembered"
        await whole(blobs, ids[0])
        assert len(hashed) == 5, "a full read always hashes"

    run(work())


def test_a_part_out_of_range_is_refused(tmp_path: Path) -> None:
    async def work() -> None:
        blobs = FileBlobs(tmp_path)
        id = await blobs.put(parts(b"abc"), 10)
        await refused(INVALID, blobs.part(id, -1, 1))
        await refused(INVALID, blobs.part(id, 0, -1))

    run(work())


def test_the_same_blob_put_by_many_at_once_is_there_once(tmp_path: Path) -> None:
    async def work() -> None:
        blobs = FileBlobs(tmp_path)
        ids = await asyncio.gather(*(blobs.put(parts(LARGE[:1000], LARGE[1000:]), len(LARGE)) for _ in range(8)))
        assert set(ids) == {hash_id(LARGE)}
        assert await whole(blobs, ids[0]) == LARGE
        assert leftovers(tmp_path) == []

    run(work())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small tmpfs, so no test of blobs on a full disk: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_said_and_leaves_room_again(small_disk: Path) -> None:
    async def work() -> None:
        blobs = FileBlobs(small_disk)
        error = await refused(DATABASE, blobs.put(parts(*[bytes(BLOB_PART_BYTES)] * 8), 10**9))
        assert "space" in error.hint
        assert leftovers(small_disk) == []
        id = await blobs.put(parts(LARGE), 10**9)  # a full disk ends an upload, not the service
        assert await whole(blobs, id) == LARGE

    run(work())


def test_layers_read_what_is_kept_first_and_put_into_files(tmp_path: Path) -> None:
    async def work() -> None:
        store = await SqliteStore.open(tmp_path / "store")
        files = FileBlobs(tmp_path / "blobs")
        blobs: Blobs = LayeredBlobs(store, files)
        kept = hash_id(b"kept small")
        await store.commit(Group((), keeps=(Keep(kept, b"kept small"),)), await store.open_epoch(), 0)
        assert await files.size(kept) is None
        put = await blobs.put(parts(LARGE), len(LARGE))
        assert store.kept(put) is None
        for id, data in ((kept, b"kept small"), (put, LARGE)):
            assert await whole(blobs, id) == data
            assert await blobs.size(id) == len(data)
            assert await blobs.part(id, 2, 3) == data[2:5]
            assert await blobs.part(id, len(data), 3) == b""
            await refused(INVALID, blobs.part(id, -1, 3))
        assert await blobs.size(bytes(32)) is None
        await refused(NOT_FOUND, whole(blobs, bytes(32)))
        await refused(NOT_FOUND, blobs.part(bytes(32), 0, 1))
        await refused(TOO_LARGE, blobs.put(parts(b"abcd"), 3))
        await store.close()

    run(work())
