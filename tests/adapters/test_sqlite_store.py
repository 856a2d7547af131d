"""What is the embedded store's own: its files, its threads, what it refuses to open, what it measures."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.store_contract import event, events_of, keys, refused, row
from quorate.adapters.sqlite import SqliteStore, writer
from quorate.adapters.sqlite.lock import DirectoryLock
from quorate.adapters.sqlite.rows import MERGED_STATES_MAX, read_rows
from quorate.adapters.sqlite.schema import SCHEMA_VERSION, connect_reader, connect_writer, create_file
from quorate.base.errors import (
    CONFLICT,
    DATABASE,
    INVALID,
    TOO_LARGE,
    UNAUTHENTICATED,
    UNSUPPORTED,
    InvariantBroken,
    QuorateError,
)
from quorate.base.ids import hash_id
from quorate.base.limits import GROUP_BYTES_MAX, GROUP_EVENTS_MAX, MIB, ROWS_READ_MAX
from quorate.model import Keep, Project, Save, Sealed
from quorate.ports import Group, RowFilter

DATABASE_FILE = "quorate.sqlite"


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def make(directory: Path, events: int = 3) -> None:
    store = await SqliteStore.open(directory)
    await store.append([event(number) for number in range(1, events + 1)], await store.open_epoch(), 0)
    await store.close()


def test_files_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    async def work() -> None:
        store = await SqliteStore.open(tmp_path / "deep" / "data")
        await store.append([event(1)], await store.open_epoch(), 0)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "deep").rglob("*")}
        assert modes.pop("data") == 0o700
        assert stat.S_IMODE((tmp_path / "deep").stat().st_mode) == 0o700
        assert len(modes) == 4
        assert set(modes.values()) == {0o600}, modes
        await store.close()

    before = os.umask(0)
    try:
        run(work())
    finally:
        os.umask(before)


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    run(make(tmp_path))
    (tmp_path / DATABASE_FILE).chmod(0o644)
    run(make_again(tmp_path))
    assert stat.S_IMODE((tmp_path / DATABASE_FILE).stat().st_mode) == 0o600


async def make_again(directory: Path) -> None:
    await (await SqliteStore.open(directory)).close()


def test_every_commit_is_synced(tmp_path: Path) -> None:
    create_file(tmp_path / DATABASE_FILE)
    db = connect_writer(tmp_path / DATABASE_FILE)
    pragmas = ("journal_mode", "synchronous", "wal_autocheckpoint", "fullfsync", "checkpoint_fullfsync")
    assert [db.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas] == ["wal", 2, 0, 1, 1]
    db.close()


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    run(make(tmp_path))
    db = connect_reader(tmp_path / DATABASE_FILE)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM events")
    db.close()


def test_two_coordinators_on_one_directory_are_refused(tmp_path: Path) -> None:
    async def work() -> None:
        store = await SqliteStore.open(tmp_path)
        error = await refused(CONFLICT, SqliteStore.open(tmp_path))
        assert f"process {os.getpid()}" in error.message
        assert "another data directory" in error.hint
        await store.append([event(1)], await store.open_epoch(), 0)
        await store.close()
        store = await SqliteStore.open(tmp_path)
        assert await store.size() == 1
        await store.close()

    run(work())


def test_a_failed_start_leaves_no_lock(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).write_bytes(b"garbage" * 1000)
    run(refused(DATABASE, SqliteStore.open(tmp_path)))
    DirectoryLock(tmp_path / "coordinator.lock").release()


@pytest.mark.parametrize("kind", ["garbage", "another program's", "a newer one", "without a version"])
def test_a_file_that_is_not_ours_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / DATABASE_FILE
    code, words = DATABASE, "not a Quorate database"
    if kind == "garbage":
        path.write_bytes(b"This is no database at all. " * 400)
    elif kind == "another program's":
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE bookmarks (url TEXT)")
        db.close()
    else:
        run(make(tmp_path))
        db = sqlite3.connect(path)
        if kind == "a newer one":
            db.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (SCHEMA_VERSION + 1,))
            code, words = UNSUPPORTED, f"schema version {SCHEMA_VERSION + 1}"
        else:
            db.execute("DELETE FROM meta WHERE name = 'schema'")
        db.commit()
        db.close()
    before = path.read_bytes()
    error = run(refused(code, SqliteStore.open(tmp_path)))
    assert words in error.message
    assert error.hint
    assert path.read_bytes() == before


def test_a_half_made_file_is_made_again(tmp_path: Path) -> None:
    create_file(tmp_path / DATABASE_FILE)  # a crash right after this left an empty file
    run(make(tmp_path))


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        error = run(refused(DATABASE, SqliteStore.open(place)))
        assert str(place) in error.message


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "readonly"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro,mode=0700", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a read-only tmpfs, so no test on such a disk: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_read_only_disk_is_named(read_only_disk: Path) -> None:
    for place in (read_only_disk, read_only_disk / "data"):
        error = run(refused(DATABASE, SqliteStore.open(place)))
        assert "may write" in error.hint


def test_a_directory_that_any_user_may_change_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "open"
    place.mkdir()
    (place / "something").write_bytes(b"")
    place.chmod(0o777)
    error = run(refused(UNAUTHENTICATED, SqliteStore.open(place)))
    assert "chmod 700" in error.hint
    place.chmod(0o755)
    run(make(place))
    assert stat.S_IMODE(place.stat().st_mode) == 0o755, "a directory with other things in it is not ours to close"


def test_a_directory_belongs_to_one_realm(tmp_path: Path) -> None:
    async def work() -> None:
        store = await SqliteStore.open(tmp_path)
        assert store.realm == b""
        await store.bind_realm(b"r" * 16)
        await store.bind_realm(b"r" * 16)
        await refused(CONFLICT, store.bind_realm(b"q" * 16))
        assert store.realm == b"r" * 16
        await store.close()
        error = await refused(CONFLICT, SqliteStore.open(tmp_path, realm=b"q" * 16))
        assert (b"r" * 16).hex() in error.message
        store = await SqliteStore.open(tmp_path, realm=b"r" * 16)
        await store.close()

    run(work())


def test_readers_go_on_and_see_nothing_unfinished_while_a_write_waits(tmp_path: Path) -> None:
    async def work() -> None:
        store = await SqliteStore.open(tmp_path)
        epoch = await store.open_epoch()
        await store.commit(Group((event(1),), rows=(Project("task", b"k", row(1, "ready")),)), epoch, 0)
        written, released = threading.Event(), threading.Event()

        def slow(db: sqlite3.Connection) -> bool:
            db.execute("UPDATE projected SET state = 'done'")
            written.set()
            return released.wait(20)

        waiting = asyncio.create_task(store._writer.run(slow))
        queued = asyncio.create_task(store.append([event(2)], epoch, 1))
        await asyncio.to_thread(written.wait, 20)
        assert store.counts("task") == {"ready": 1}
        assert keys(store.rows("task", RowFilter(states=("ready",)))) == [b"k"]
        assert await store.size() == 1
        assert await events_of(store) == [(1, event(1))]
        assert not waiting.done()
        assert not queued.done()
        released.set()
        assert await waiting
        assert store.counts("task") == {"done": 1}
        assert await queued == 2
        await store.close()

    run(work())


def test_groups_over_a_limit_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    async def work() -> None:
        store = await SqliteStore.open(tmp_path)
        epoch = await store.open_epoch()
        many = [event(number) for number in range(GROUP_EVENTS_MAX + 1)]
        await refused(TOO_LARGE, store.append(many, epoch, 0))
        body = bytes(MIB)
        large = [event(number, body=body) for number in range(GROUP_BYTES_MAX // MIB)]
        await refused(TOO_LARGE, store.append(large, epoch, 0))
        blobs = tuple(Keep(hash_id(body), body) for _ in range(GROUP_BYTES_MAX // MIB + 1))
        await refused(TOO_LARGE, store.commit(Group((), keeps=blobs), epoch, 0))
        assert await store.size() == 0
        assert await store.append(many[:-1], epoch, 0) == GROUP_EVENTS_MAX
        await store.close()

    run(work())


def test_large_bodies_are_read_in_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        store = await SqliteStore.open(tmp_path)
        body = bytes(700_000)
        epoch = await store.open_epoch()
        await store.append([event(number, body=body) for number in range(40)], epoch, 0)
        sizes = []
        scan = store._scanner._batch

        def counting(after: int, count: int) -> list[tuple[int, Sealed]]:
            batch = scan(after, count)
            sizes.append(len(batch))
            return batch

        monkeypatch.setattr(store._scanner, "_batch", counting)
        assert [position for position, _ in await events_of(store)] == list(range(1, 41))
        assert sizes == [12, 12, 12, 4, 0]
        await store.close()

    run(work())


@pytest.mark.parametrize("where", [RowFilter(limit=0), RowFilter(limit=ROWS_READ_MAX + 1), RowFilter(before=-1)])
def test_a_page_out_of_range_is_refused(tmp_path: Path, where: RowFilter) -> None:
    async def work() -> None:
        store = await SqliteStore.open(tmp_path)
        with pytest.raises(QuorateError) as caught:
            store.rows("task", where)
        assert caught.value.code == INVALID
        assert store.rows("task", RowFilter()) == [], "and the reader still works"
        await store.close()

    run(work())


def test_rows_of_equal_order_come_by_key(tmp_path: Path) -> None:
    async def work() -> None:
        store = await SqliteStore.open(tmp_path)
        states = ["ready", "done", "lost"]
        rows = tuple(Project("task", b"%02d" % n, row(7, states[n % 3])) for n in range(20))
        await store.commit(Group((), rows=rows), await store.open_epoch(), 0)
        assert keys(store.rows("task", RowFilter(limit=15))) == [b"%02d" % n for n in range(19, 4, -1)]
        await store.close()

    run(work())


def test_more_states_than_are_merged_are_read_all_the_same(tmp_path: Path) -> None:
    async def work() -> None:
        store = await SqliteStore.open(tmp_path)
        count = 3 * MERGED_STATES_MAX
        rows = tuple(Project("note", b"%03d" % n, row(n + 1, f"state {n}", b"p%d" % (n % 2))) for n in range(count))
        await store.commit(Group((), rows=rows), await store.open_epoch(), 0)
        every = [b"%03d" % n for n in range(count - 1, -1, -1)]
        assert keys(store.rows("note", RowFilter(limit=count))) == every
        assert keys(store.rows("note", RowFilter(limit=4, parent=b"p1"))) == every[0:8:2]
        wanted = tuple(f"state {n}" for n in range(0, count, 2))
        assert keys(store.rows("note", RowFilter(limit=count, states=wanted))) == every[1::2]
        await store.close()
        db = connect_reader(tmp_path / DATABASE_FILE)
        asked: list[str] = []
        db.set_trace_callback(asked.append)
        assert len(read_rows(db, "note", RowFilter(limit=4))) == 4
        assert len([query for query in asked if "FROM projected" in query]) == 1
        db.close()

    run(work())


@pytest.mark.parametrize(
    "where",
    [
        RowFilter(limit=10),
        RowFilter(limit=10, before=4000),
        RowFilter(limit=10, states=("rare",)),
        RowFilter(limit=10, states=("rare",), owner="ann"),
        RowFilter(limit=10, states=("done",), parent=b"job"),
        RowFilter(limit=10, parent=b"job"),
        RowFilter(limit=10, owner="ann", before=4000),
    ],
    ids=repr,
)
def test_a_page_costs_what_it_returns_not_what_the_table_holds(tmp_path: Path, where: RowFilter) -> None:
    async def fill() -> None:
        store = await SqliteStore.open(tmp_path)
        rows = tuple(
            Project("task", b"%d" % n, row(n + 1, "done" if n % 200 else "rare", b"job", "ann")) for n in range(6000)
        )
        await store.commit(Group((), rows=rows), await store.open_epoch(), 0)
        await store.close()

    run(fill())
    db = connect_reader(tmp_path / DATABASE_FILE)
    steps = [0]

    def count() -> int:
        steps[0] += 1
        return 0

    db.set_progress_handler(count, 10)  # called every ten instructions of SQLite's machine
    assert len(read_rows(db, "task", where)) == 10
    db.close()
    assert steps[0] * 10 < 1500, "a scan of the table takes tens of thousands"


def test_a_blob_is_kept_under_its_own_hash_or_not_at_all(tmp_path: Path) -> None:
    async def work() -> None:
        store = await SqliteStore.open(tmp_path)
        epoch = await store.open_epoch()
        with pytest.raises(InvariantBroken):
            await store.commit(Group((event(1),), keeps=(Keep(hash_id(b"a"), b"b"),)), epoch, 0)
        assert await store.size() == 0
        await store.commit(Group((), keeps=(Keep(hash_id(b"a"), b"a"),)), epoch, 0)
        await store._writer.run(lambda db: db.execute("UPDATE kept SET data = x'00'"))
        with pytest.raises(QuorateError, match="damaged") as caught:
            store.kept(hash_id(b"a"))
        assert caught.value.code == DATABASE
        await store.close()

    run(work())


def test_the_write_ahead_log_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 64)

    async def work() -> None:
        store = await SqliteStore.open(tmp_path)
        epoch = await store.open_epoch()
        for number in range(200):
            await store.append([event(number, body=bytes(4000))], epoch, number)
        # A checkpoint follows its answer: let the one under way end, or the files change between two looks.
        await asyncio.get_running_loop().run_in_executor(store._writer._thread, lambda: None)
        log = (tmp_path / f"{DATABASE_FILE}-wal").stat().st_size
        assert log < 3 * 64 * 4096, "each checkpoint lets the log start again"
        assert store.file_bytes == log + (tmp_path / DATABASE_FILE).stat().st_size
        await store.close()

    run(work())


def test_commits_are_observed(tmp_path: Path) -> None:
    seen: list[tuple[float, int]] = []

    async def work() -> None:
        store = await SqliteStore.open(tmp_path, observe=lambda seconds, events: seen.append((seconds, events)))
        epoch = await store.open_epoch()
        await store.append([event(1), event(2)], epoch, 0)
        assert store.last_group_events == 2
        assert 0 < store.last_sync_seconds < store.last_commit_seconds
        await store.append([event(3)], epoch, 2)
        await refused(CONFLICT, store.append([event(4)], epoch, 0))
        assert store.broken is None
        await store.close()

    run(work())
    assert [events for _, events in seen] == [2, 1]
    assert all(seconds > 0 for seconds, _ in seen)


def test_a_backup_taken_while_writing_goes_on_is_a_whole_store(tmp_path: Path) -> None:
    target = tmp_path / "copy.sqlite"

    async def work() -> int:
        store = await SqliteStore.open(tmp_path / "data")
        epoch = await store.open_epoch()
        position = await store.append([event(number, body=bytes(500)) for number in range(1, 2001)], epoch, 0)
        copying = asyncio.create_task(store.backup(target))
        while not copying.done():
            position = await store.commit(Group((event(position + 1),), (Save("last", b"x"),)), epoch, position)
        await copying
        before = target.read_bytes()
        error = await refused(CONFLICT, store.backup(target))
        assert str(target) in error.message
        assert target.read_bytes() == before
        await refused(DATABASE, store.backup(tmp_path / "nowhere" / "copy"))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.sqlite", "data"]
        await store.close()
        return position

    position = run(work())
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    (tmp_path / "restored").mkdir()
    target.rename(tmp_path / "restored" / DATABASE_FILE)

    async def check() -> None:
        store = await SqliteStore.open(tmp_path / "restored")
        size = await store.size()
        assert 2000 <= size <= position
        assert [number for number, _ in await events_of(store)] == list(range(1, size + 1))
        assert await store.open_epoch() == 2
        await store.close()

    run(check())
