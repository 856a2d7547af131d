"""The store loses its process, its disk space or its disk, and keeps what it acknowledged."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.committing_child import group_after, numbered
from adapters.store_contract import event, events_of, refused
from quorate.adapters.sqlite import SqliteStore, writer
from quorate.adapters.sqlite.writer import Writer
from quorate.base.dice import Dice
from quorate.base.errors import CONFLICT, DATABASE, QuorateError
from quorate.base.ids import hash_id
from quorate.model import Sealed

CHILD = Path(__file__).with_name("committing_child.py")


async def holds(directory: Path, acknowledged: int) -> int:
    """Check that a store is dense, whole, and has all that was acknowledged. Its size."""
    store = await SqliteStore.open(directory)
    found = await events_of(store)
    size = await store.size()
    assert size >= acknowledged
    assert found == [(number, numbered(number)) for number in range(1, size + 1)]
    assert await store.position_of(hash_id(numbered(size).head)) == size
    # Every part of the last group is there, or none of it.
    row = store.row("counter", b"last")
    assert row is not None
    assert (row.order, await store.load("last")) == (size, b"%d" % size)
    assert store.kept(hash_id(b"%d" % size)) == b"%d" % size
    assert store.counts("counter") == {"open": 1}
    await store.close()
    return size


def test_a_killed_process_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    dice = Dice(20)
    size = 0
    for seed in range(6):
        child = subprocess.Popen(
            [sys.executable, str(CHILD), str(tmp_path), str(seed)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        try:
            acknowledged = [int(child.stdout.readline()) for _ in range(dice.randint(1, 120))]
            with pytest.raises(QuorateError) as caught:  # while it lives nobody else writes here
                asyncio.run(SqliteStore.open(tmp_path))
            assert caught.value.code == CONFLICT
            assert f"process {child.pid}" in caught.value.message
        finally:
            child.send_signal(signal.SIGKILL)
            rest = child.stdout.read()
            child.stdout.close()
            child.wait()
        acknowledged += [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        assert acknowledged[0] > size, "a new process goes on where the last one ended"
        size = asyncio.run(holds(tmp_path, acknowledged[-1]))


async def fill(store: SqliteStore) -> tuple[int, QuorateError]:
    """Commit until the disk is full: the last acknowledged position, and what was said then."""
    epoch = await store.open_epoch()
    position = 0
    while True:
        try:
            position = await store.commit(group_after(position, 25), epoch, position)
        except QuorateError as error:
            return position, error


async def fails_for_good(store: SqliteStore, position: int, error: QuorateError) -> None:
    assert error.code == DATABASE
    assert "Free" in error.hint
    assert store.broken is not None
    epoch = 1
    await refused(DATABASE, store.append([event(1)], epoch, position))  # small enough to fit: refused all the same
    await refused(DATABASE, store.save("k", b"v"))
    await refused(DATABASE, store.open_epoch())
    assert await store.size() == position, "readers still see what was committed"
    row = store.row("counter", b"last")
    assert row is not None
    assert row.order == position


def test_a_full_database_ends_the_store_and_loses_nothing(tmp_path: Path) -> None:
    async def run_full() -> int:
        store = await SqliteStore.open(tmp_path)
        await store._writer.run(lambda db: db.execute("PRAGMA max_page_count = 200"))
        position, error = await fill(store)
        assert position > 25
        await fails_for_good(store, position, error)
        await store.close()
        return position

    position = asyncio.run(run_full())
    assert asyncio.run(holds(tmp_path, position)) == position


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    place = tmp_path / "small"
    place.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m,mode=0700", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small tmpfs, so no test on a disk that is really full: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_ends_the_store_and_loses_nothing(small_disk: Path) -> None:
    directory = small_disk / "data"

    async def run_full() -> int:
        store = await SqliteStore.open(directory)
        position, error = await fill(store)
        assert position > 25
        await fails_for_good(store, position, error)
        await store.close()
        return position

    position = asyncio.run(run_full())
    subprocess.run(["mount", "-o", "remount,size=30m", str(small_disk)], check=True)
    size = asyncio.run(holds(directory, position))
    assert size in (position, position + 25), "the group that failed is there whole or not at all"


def test_a_disk_without_room_cannot_be_opened_and_says_so(small_disk: Path) -> None:
    with (small_disk / "ballast").open("wb") as ballast, pytest.raises(OSError, match="No space"):
        while True:
            ballast.write(bytes(65536))
            ballast.flush()
    with pytest.raises(QuorateError) as caught:
        asyncio.run(SqliteStore.open(small_disk / "data"))
    assert caught.value.code == DATABASE
    assert "space" in caught.value.hint
    (small_disk / "ballast").unlink()
    asyncio.run(_opens(small_disk / "data"))


async def _opens(directory: Path) -> None:
    await (await SqliteStore.open(directory)).close()


class FailingConnection(sqlite3.Connection):
    """A connection whose disk fails once at a given statement."""

    fails_at = ""

    def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:  # type: ignore[override]
        if self.fails_at and sql.startswith(self.fails_at):
            self.fails_at = ""
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *parameters)


def failing_writer(path: Path) -> tuple[Writer, FailingConnection]:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=FailingConnection)
    db.execute("CREATE TABLE t (n INTEGER)")
    return Writer(db), db


@pytest.mark.parametrize("statement", ["BEGIN", "INSERT", "COMMIT"])
def test_a_failed_write_is_never_tried_again(tmp_path: Path, statement: str) -> None:
    async def work() -> None:
        lane, db = failing_writer(tmp_path / "t.sqlite")
        await lane.run(lambda db: db.execute("INSERT INTO t VALUES (1)"))
        db.fails_at = statement
        error = await refused(DATABASE, lane.run(lambda db: db.execute("INSERT INTO t VALUES (2)")))
        assert "disk I/O error" in error.message
        assert lane.broken is not None
        error = await refused(DATABASE, lane.run(lambda db: db.execute("INSERT INTO t VALUES (3)")))
        assert "nothing is written any more" in error.message
        await lane.close()
        assert sqlite3.connect(tmp_path / "t.sqlite").execute("SELECT n FROM t").fetchall() == [(1,)]

    asyncio.run(work())


def test_what_was_queued_behind_a_failed_write_is_not_written(tmp_path: Path) -> None:
    async def work() -> None:
        lane, db = failing_writer(tmp_path / "t.sqlite")
        db.fails_at = "COMMIT"
        ended = await asyncio.gather(
            *(lane.run(lambda db, n=n: db.execute("INSERT INTO t VALUES (?)", (n,))) for n in range(3)),
            return_exceptions=True,
        )
        assert [getattr(one, "code", None) for one in ended] == [DATABASE] * 3
        assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)
        await lane.close()

    asyncio.run(work())


def test_a_failed_checkpoint_ends_the_store_but_not_the_commit_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_PAGES", 1)

    async def work() -> None:
        lane, db = failing_writer(tmp_path / "t.sqlite")
        db.fails_at = "PRAGMA wal_checkpoint"
        await lane.run(lambda db: db.execute("INSERT INTO t VALUES (1)"))
        lane.wrote(1)
        await refused(DATABASE, _second(lane))
        assert lane.broken is not None
        assert "checkpoint" in lane.broken.message
        await lane.close()

    async def _second(lane: Writer) -> None:
        await lane.run(lambda db: db.execute("INSERT INTO t VALUES (2)"))

    asyncio.run(work())


def test_what_the_caller_got_wrong_is_rolled_back_and_the_writer_goes_on(tmp_path: Path) -> None:
    def wrong(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO t VALUES (1)")
        raise QuorateError(CONFLICT, "no")

    async def work() -> None:
        lane, db = failing_writer(tmp_path / "t.sqlite")
        await refused(CONFLICT, lane.run(wrong))
        await lane.run(lambda db: db.execute("INSERT INTO t VALUES (2)"))
        assert db.execute("SELECT n FROM t").fetchall() == [(2,)]
        await lane.close()

    asyncio.run(work())


def test_a_torn_tail_of_the_write_ahead_log_is_dropped(tmp_path: Path) -> None:
    """What a power cut leaves: the database and a log that ends in the middle of the last group."""
    live, cut = tmp_path / "live", tmp_path / "cut"

    async def work() -> None:
        store = await SqliteStore.open(live)
        epoch = await store.open_epoch()
        sizes = []
        position = 0
        for _ in range(5):
            position = await store.commit(group_after(position, 10), epoch, position)
            sizes.append((live / "quorate.sqlite-wal").stat().st_size)
        for torn_bytes in (1, 2000, 4096 + 24, sizes[4] - sizes[3] - 1):
            cut.mkdir(mode=0o700)
            (cut / "quorate.sqlite").write_bytes((live / "quorate.sqlite").read_bytes())
            log = (live / "quorate.sqlite-wal").read_bytes()
            (cut / "quorate.sqlite-wal").write_bytes(log[: sizes[4] - torn_bytes])
            assert await holds(cut, 40) == 40
            for name in os.listdir(cut):
                (cut / name).unlink()
            cut.rmdir()
        await store.close()

    asyncio.run(work())


def test_a_start_moves_what_a_crash_left_into_the_database(tmp_path: Path) -> None:
    """New groups never follow frames that may be in the page cache alone."""
    live, found = tmp_path / "live", tmp_path / "found"

    async def work() -> None:
        store = await SqliteStore.open(live)
        await store.commit(group_after(0, 10), await store.open_epoch(), 0)
        found.mkdir(mode=0o700)
        for name in ("quorate.sqlite", "quorate.sqlite-wal"):
            (found / name).write_bytes((live / name).read_bytes())
        await store.close()
        store = await SqliteStore.open(found)
        assert await store.size() == 10
        assert (found / "quorate.sqlite-wal").stat().st_size == 0
        await store.close()

    asyncio.run(work())


def test_a_damaged_database_is_reported_and_not_served(tmp_path: Path) -> None:
    async def work() -> None:
        store = await SqliteStore.open(tmp_path)
        await store.append([Sealed(b"%d" % n, b"s", bytes(900), None) for n in range(100)], await store.open_epoch(), 0)
        await store.close()
        path = tmp_path / "quorate.sqlite"
        whole = path.read_bytes()
        path.write_bytes(whole[: 20 * 4096] + b"\x55" * (len(whole) - 20 * 4096))
        store = await SqliteStore.open(tmp_path)
        error = await refused(DATABASE, events_of(store))
        assert "backup" in error.hint
        await store.close()

    asyncio.run(work())
