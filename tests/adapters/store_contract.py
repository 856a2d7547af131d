"""What every `Store` must do, whatever it is made of.

An implementation's test file subclasses `StoreContract` and gives a fixture `world`: where stores lie, and
the loop they run on. Nothing here knows files or servers.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.base.errors import CONFLICT, DATABASE, QuorateError
from quorate.base.ids import hash_id
from quorate.base.limits import READ_BATCH_EVENTS
from quorate.model import Keep, Project, Row, Save, Sealed
from quorate.ports import Group, RowFilter, Store


class Place(Protocol):
    """Where one store lies. `open` again, once it is closed, is a restart."""

    async def open(self) -> Store: ...


class World(Protocol):
    def place(self) -> Place:
        """An empty one."""

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run on the loop that the store lives on."""


def event(number: int, *, body: bytes | None = b"body", sig: bytes | None = None) -> Sealed:
    return Sealed(b"head %d" % number, b"salt", body, sig)


def row(order: int, state: str = "ready", parent: bytes = b"", owner: str = "", record: bytes = b"r") -> Row:
    return Row(parent, state, owner, order, record)


async def events_of(store: Store, after: int = 0, limit: int = 10**9) -> list[tuple[int, Sealed]]:
    return [entry async for entry in store.read(after, limit)]


async def refused(code: int, work: Coroutine[Any, Any, Any]) -> QuorateError:
    with pytest.raises(QuorateError) as caught:
        await work
    assert caught.value.code == code, caught.value
    return caught.value


def keys(found: list[tuple[bytes, Row]]) -> list[bytes]:
    return [key for key, _ in found]


TABLE = tuple(
    Project("task", b"k%d" % n, row(n, "ready" if n % 3 else "done", b"job%d" % (n % 2), "ann" if n % 4 else "bob"))
    for n in range(1, 13)
)


class StoreContract:
    """The tests. `world` comes from the subclass."""

    def test_an_empty_store_has_nothing(self, world: World) -> None:
        async def work() -> None:
            store = await world.place().open()
            assert await store.size() == 0
            assert await events_of(store) == []
            assert await store.position_of(hash_id(b"head 1")) is None
            assert await store.load("votes") is None
            assert store.row("task", b"k") is None
            assert store.rows("task", RowFilter()) == []
            assert store.counts("task") == {}
            assert store.kept(hash_id(b"x")) is None
            await store.close()

        world.run(work())

    def test_a_group_is_there_whole_and_after_a_restart_too(self, world: World) -> None:
        async def check(store: Store) -> None:
            assert await store.size() == 2
            assert await events_of(store) == [(1, event(1)), (2, event(2, body=None, sig=b"s" * 64))]
            assert await store.position_of(hash_id(b"head 2")) == 2
            assert await store.load("term") == b"7"
            assert store.kept(hash_id(b"small")) == b"small"
            assert store.row("task", b"k") == row(9, "done", b"p", "ann", b"rec")
            assert store.counts("task") == {"done": 1}

        async def work() -> None:
            place = world.place()
            store = await place.open()
            group = Group(
                (event(1), event(2, body=None, sig=b"s" * 64)),
                (Save("term", b"7"),),
                (Keep(hash_id(b"small"), b"small"),),
                (Project("task", b"k", row(9, "done", b"p", "ann", b"rec")),),
            )
            assert await store.commit(group, await store.open_epoch(), 0) == 2
            await check(store)
            await store.close()
            store = await place.open()
            await check(store)
            await store.close()

        world.run(work())

    def test_reading_takes_windows_across_batches(self, world: World) -> None:
        async def work() -> None:
            store = await world.place().open()
            epoch = await store.open_epoch()
            total = 2 * READ_BATCH_EVENTS + 500
            position = 0
            while position < total:
                batch = [event(number) for number in range(position + 1, position + 501)]
                position = await store.append(batch, epoch, position)
            assert position == total
            everything = await events_of(store)
            assert everything == [(number, event(number)) for number in range(1, total + 1)]
            for after, limit in (
                (0, 1),
                (0, 0),
                (7, READ_BATCH_EVENTS + 1),
                (total - 1, 5),
                (total, 5),
                (total + 9, 5),
            ):
                assert await events_of(store, after, limit) == everything[after : after + limit], (after, limit)
            await store.close()

        world.run(work())

    @pytest.mark.parametrize("wrong", ["older epoch", "no such epoch", "expect too low", "expect too high"])
    def test_a_fenced_group_writes_nothing(self, world: World, wrong: str) -> None:
        async def work() -> None:
            store = await world.place().open()
            old = await store.open_epoch()
            new = await store.open_epoch()
            assert new > old
            await store.append([event(1)], new, 0)
            group = Group(
                (event(2),), (Save("k", b"v"),), (Keep(hash_id(b"b"), b"b"),), (Project("task", b"k", row(1)),)
            )
            epoch, expect = {
                "older epoch": (old, 1),
                "no such epoch": (new + 1, 1),
                "expect too low": (new, 0),
                "expect too high": (new, 2),
            }[wrong]
            await refused(CONFLICT, store.commit(group, epoch, expect))
            assert await store.size() == 1
            assert await store.load("k") is None
            assert store.kept(hash_id(b"b")) is None
            assert store.row("task", b"k") is None
            assert store.counts("task") == {}
            assert await store.commit(group, new, 1) == 2
            await store.close()

        world.run(work())

    def test_no_one_writes_before_an_epoch_is_open(self, world: World) -> None:
        async def work() -> None:
            store = await world.place().open()
            await refused(CONFLICT, store.append([event(1)], 0, 0))
            assert await store.size() == 0
            await store.close()

        world.run(work())

    def test_epochs_rise_across_restarts(self, world: World) -> None:
        async def work() -> None:
            place = world.place()
            epochs = []
            for _ in range(3):
                store = await place.open()
                epochs += [await store.open_epoch(), await store.open_epoch()]
                await store.close()
            assert epochs == sorted(set(epochs))
            store = await place.open()
            await refused(CONFLICT, store.append([event(1)], epochs[0], 0))
            assert await store.append([event(1)], epochs[-1], 0) == 1
            await store.close()

        world.run(work())

    @pytest.mark.parametrize("batch", [[2, 1], [2, 2]], ids=["of the log", "of the group"])
    def test_an_event_is_there_once(self, world: World, batch: list[int]) -> None:
        async def work() -> None:
            store = await world.place().open()
            epoch = await store.open_epoch()
            await store.append([event(1)], epoch, 0)
            group = Group(tuple(event(number) for number in batch), (Save("k", b"v"),))
            await refused(CONFLICT, store.commit(group, epoch, 1))
            assert await events_of(store) == [(1, event(1))]
            assert await store.load("k") is None
            assert await store.append([event(2)], epoch, 1) == 2
            await store.close()

        world.run(work())

    def test_of_two_writers_that_expect_the_same_one_wins(self, world: World) -> None:
        async def work() -> None:
            store = await world.place().open()
            epoch = await store.open_epoch()
            racing = [store.append([event(number)], epoch, 0) for number in range(8)]
            ended = await asyncio.gather(*racing, return_exceptions=True)
            assert [one for one in ended if not isinstance(one, QuorateError)] == [1]
            assert {one.code for one in ended if isinstance(one, QuorateError)} == {CONFLICT}
            assert await store.size() == 1
            await store.close()

        world.run(work())

    def test_groups_asked_for_at_once_are_written_in_order(self, world: World) -> None:
        async def work() -> None:
            store = await world.place().open()
            epoch = await store.open_epoch()
            asked = [store.append([event(2 * n), event(2 * n + 1)], epoch, 2 * n) for n in range(20)]
            assert await asyncio.gather(*asked) == [2 * n + 2 for n in range(20)]
            assert [entry.head for _, entry in await events_of(store)] == [event(n).head for n in range(40)]
            await store.close()

        world.run(work())

    def test_a_group_without_events_keeps_the_position(self, world: World) -> None:
        async def work() -> None:
            store = await world.place().open()
            epoch = await store.open_epoch()
            await store.append([event(1)], epoch, 0)
            assert await store.commit(Group((), rows=(Project("task", b"k", row(1)),)), epoch, 1) == 1
            assert store.row("task", b"k") == row(1)
            await store.close()

        world.run(work())

    def test_a_record_is_as_it_was_saved_last(self, world: World) -> None:
        async def work() -> None:
            place = world.place()
            store = await place.open()
            await store.save("a", b"1")
            await store.save("b", bytes(1_000_000))
            await store.save("a", b"2")
            await store.close()
            store = await place.open()
            assert await store.load("a") == b"2"
            assert await store.load("b") == bytes(1_000_000)
            assert await store.load("A") is None
            await store.close()

        world.run(work())

    @pytest.mark.parametrize(
        "where",
        [
            RowFilter(),
            RowFilter(limit=3),
            RowFilter(before=5),
            RowFilter(before=5, limit=2),
            RowFilter(parent=b"job1"),
            RowFilter(states=("done",)),
            RowFilter(states=("done", "ready")),
            RowFilter(states=("done", "done")),
            RowFilter(states=("lost",)),
            RowFilter(owner="bob"),
            RowFilter(parent=b"job1", states=("ready",), before=10, limit=2),
            RowFilter(owner="ann", states=("ready", "lost"), before=10, limit=2),
            RowFilter(parent=b"job0", owner="bob"),
            RowFilter(parent=b"job0", owner="bob", states=("done",)),
            RowFilter(parent=b"none"),
        ],
        ids=repr,
    )
    def test_a_filter_finds_what_it_says_newest_first(self, world: World, where: RowFilter) -> None:
        async def work() -> None:
            store = await world.place().open()
            await store.commit(Group((), rows=(*TABLE, Project("job", b"k1", row(99)))), await store.open_epoch(), 0)
            assert store.rows("task", where) == matching({one.key: one.row for one in TABLE if one.row}, where)
            await store.close()

        world.run(work())

    def test_pages_follow_each_other_without_gap_or_overlap(self, world: World) -> None:
        async def work() -> None:
            store = await world.place().open()
            await store.commit(Group((), rows=TABLE), await store.open_epoch(), 0)
            seen: list[bytes] = []
            before = 0
            while page := store.rows("task", RowFilter(before=before, limit=5)):
                seen += keys(page)
                before = page[-1][1].order
            assert seen == [b"k%d" % n for n in range(12, 0, -1)]
            await store.close()

        world.run(work())

    def test_rows_change_and_go(self, world: World) -> None:
        async def work() -> None:
            store = await world.place().open()
            epoch = await store.open_epoch()
            await store.commit(Group((), rows=TABLE), epoch, 0)
            assert store.counts("task") == {"done": 4, "ready": 8}
            changes = (
                Project("task", b"k1", row(1, "done")),
                Project("task", b"k2", None),
                Project("task", b"k3", row(50, "done")),
                Project("task", b"k4", None),
                Project("task", b"k4", row(4, "lost")),  # of several changes to one row the last counts
                Project("task", b"k5", row(5, "lost")),
                Project("task", b"k5", None),
                Project("task", b"none", None),
            )
            await store.commit(Group((), rows=changes), epoch, 0)
            assert store.counts("task") == {"done": 5, "ready": 4, "lost": 1}
            assert keys(store.rows("task", RowFilter(limit=2))) == [b"k3", b"k12"]
            assert keys(store.rows("task", RowFilter(states=("lost",)))) == [b"k4"]
            assert store.row("task", b"k2") is None
            assert store.row("task", b"k5") is None
            gone = tuple(Project("task", key, None) for key in keys(store.rows("task", RowFilter())))
            await store.commit(Group((), rows=gone), epoch, 0)
            assert store.counts("task") == {}
            assert store.rows("task", RowFilter()) == []
            await store.close()

        world.run(work())

    def test_a_blob_may_be_kept_twice(self, world: World) -> None:
        async def work() -> None:
            store = await world.place().open()
            epoch = await store.open_epoch()
            keep = Keep(hash_id(b"twice"), b"twice")
            await store.commit(Group((), keeps=(keep, keep)), epoch, 0)
            await store.commit(Group((), keeps=(keep, Keep(hash_id(b""), b""))), epoch, 0)
            assert store.kept(keep.id) == b"twice"
            assert store.kept(hash_id(b"")) == b""
            await store.close()

        world.run(work())

    def test_names_are_any_text(self, world: World) -> None:
        async def work() -> None:
            place = world.place()
            store = await place.open()
            names = ["", "a\x00b", "a", "'; DROP TABLE events; --", "ünï ☃ 🂡", "%", "A"]
            rows = tuple(
                Project("task", b"%d" % n, row(n + 1, name, name.encode(), name)) for n, name in enumerate(names)
            )
            await store.commit(Group((), rows=rows), await store.open_epoch(), 0)
            for name in names:
                await store.save(name, name.encode())
            await store.close()
            store = await place.open()
            assert store.counts("task") == dict.fromkeys(names, 1)
            for number, name in enumerate(names):
                assert store.row("task", b"%d" % number) == row(number + 1, name, name.encode(), name)
                assert keys(store.rows("task", RowFilter(states=(name,)))) == [b"%d" % number]
                assert await store.load(name) == name.encode()
            assert store.row("task", b"0\x00") is None
            await store.close()

        world.run(work())

    def test_a_closed_store_refuses(self, world: World) -> None:
        async def work() -> None:
            store = await world.place().open()
            epoch = await store.open_epoch()
            await store.close()
            await store.close()
            for late in (store.append([event(1)], epoch, 0), store.save("k", b"v"), store.load("k"), events_of(store)):
                await refused(DATABASE, late)
            await refused(DATABASE, store.size())

        world.run(work())

    def test_any_history_is_what_a_simple_model_says(self, world: World) -> None:
        @settings(derandomize=True, deadline=None, max_examples=30)
        @given(st.lists(_STEPS, min_size=1, max_size=8))
        def histories(steps: list["Step"]) -> None:
            world.run(_follow(world.place(), steps))

        histories()


def matching(rows: dict[bytes, Row], where: RowFilter) -> list[tuple[bytes, Row]]:
    """The meaning of a filter, spelled out."""
    tests: list[Callable[[Row], bool]] = [
        lambda row: not where.parent or row.parent == where.parent,
        lambda row: not where.states or row.state in where.states,
        lambda row: not where.owner or row.owner == where.owner,
        lambda row: not where.before or row.order < where.before,
    ]
    found = [(key, row) for key, row in rows.items() if all(test(row) for test in tests)]
    return sorted(found, key=lambda item: item[1].order, reverse=True)[: where.limit]


@dataclass(frozen=True)
class Step:
    """One thing that happens to a store, and how it goes wrong."""

    events: int = 0
    rows: tuple[tuple[int, str | None], ...] = ()
    keep: bytes | None = None
    save: bytes | None = None
    fault: str = ""
    restart: bool = False


_STATES = st.sampled_from(["ready", "running", "done"])
_STEPS = st.one_of(
    st.builds(
        Step,
        events=st.integers(0, 5),
        rows=st.lists(st.tuples(st.integers(0, 5), st.none() | _STATES), max_size=6).map(tuple),
        keep=st.none() | st.binary(max_size=3),
        save=st.none() | st.binary(max_size=3),
        fault=st.sampled_from(["", "", "", "epoch", "expect", "twice"]),
    ),
    st.builds(Step, save=st.binary(max_size=3), restart=st.just(True)),
)


@dataclass
class Model:
    """What a store should hold."""

    epoch: int = 0
    events: list[Sealed] = field(default_factory=list)
    rows: dict[bytes, Row] = field(default_factory=dict)
    keeps: set[bytes] = field(default_factory=set)
    save: bytes | None = None
    serial: int = 0

    def group(self, step: Step) -> Group:
        events = [event(len(self.events) + number) for number in range(step.events)]
        if step.fault == "twice":
            events += [self.events[0]] if self.events else [event(0), event(0)]
        rows = []
        for key, state in step.rows:
            self.serial += 1
            rows.append(
                Project("task", b"%d" % key, None if state is None else row(self.serial, state, b"%d" % (key % 2)))
            )
        keeps = () if step.keep is None else (Keep(hash_id(step.keep), step.keep),)
        saves = () if step.save is None else (Save("s", step.save),)
        return Group(tuple(events), saves, keeps, tuple(rows))

    def apply(self, group: Group) -> None:
        self.events += group.events
        self.keeps |= {keep.data for keep in group.keeps}
        for save in group.saves:
            self.save = save.record
        for change in group.rows:
            if change.row is None:
                self.rows.pop(change.key, None)
            else:
                self.rows[change.key] = change.row

    async def check(self, store: Store) -> None:
        assert await store.size() == len(self.events)
        assert await events_of(store) == list(enumerate(self.events, 1))
        for position, one in enumerate(self.events, 1):
            assert await store.position_of(hash_id(one.head)) == position
        assert await store.load("s") == self.save
        assert all(store.kept(hash_id(data)) == data for data in self.keeps)
        counts: dict[str, int] = {}
        for one in self.rows.values():
            counts[one.state] = counts.get(one.state, 0) + 1
        assert store.counts("task") == counts
        for where in (RowFilter(), RowFilter(parent=b"1", limit=2), RowFilter(states=("done", "ready"), limit=2)):
            assert store.rows("task", where) == matching(self.rows, where)


async def _follow(place: Place, steps: list[Step]) -> None:
    store = await place.open()
    model = Model(epoch=await store.open_epoch())
    for step in steps:
        if step.restart:
            assert step.save is not None
            await store.save("s", step.save)
            model.save = step.save
            await store.close()
            store = await place.open()
            model.epoch = await store.open_epoch()
        else:
            group = model.group(step)
            epoch = model.epoch - (step.fault == "epoch")
            expect = len(model.events) + (step.fault == "expect")
            if step.fault:
                await refused(CONFLICT, store.commit(group, epoch, expect))
            else:
                model.apply(group)
                assert await store.commit(group, epoch, expect) == len(model.events)
        await model.check(store)
    await store.close()
