"""`noop` and the drills: liars that sign what is wrong, sleepers that never answer."""

import asyncio
from pathlib import Path

import pytest

from adapters.box import MemoryBox
from quorate.adapters.executors import Liar, Noop, Sleepy
from quorate.adapters.executors.adversary import altered
from quorate.base.errors import EXECUTION, NOT_FOUND, OK, QuorateError
from quorate.base.ids import NO_ID, hash_id
from quorate.model import Lease, Result, TaskSpec
from quorate.ports import Box, Executor

TASKS = [hash_id(b"%d" % i)[:16] for i in range(2_000)]


def box_for(task: bytes, data: bytes = b"42") -> tuple[TaskSpec, Lease, MemoryBox]:
    spec, lease = TaskSpec(task, "noop", bytes(32)), Lease(task, 0, 1, bytes(32), 0)
    return spec, lease, MemoryBox(Path("unused"), spec, lease, data)


def run(executor: Executor, task: bytes, data: bytes = b"42") -> tuple[Result, MemoryBox]:
    spec, lease, box = box_for(task, data)
    result = asyncio.run(executor.run(spec, lease, box))
    assert box.signed(result)
    return result, box


@pytest.mark.parametrize("data", [b"", b"42", bytes(range(256))])
def test_noop_answers_with_its_input(data: bytes) -> None:
    result, box = run(Noop(), TASKS[0], data)
    assert (result.code, box.output, result.output) == (OK, data, hash_id(data))
    assert Noop().capabilities() == () and Noop.deterministic


def test_noop_says_when_there_is_no_input() -> None:
    class Empty(MemoryBox):
        async def input(self) -> bytes:
            raise QuorateError(NOT_FOUND, "gone")

    spec, lease, _ = box_for(TASKS[0])
    box = Empty(Path("unused"), spec, lease, b"")
    assert asyncio.run(Noop().run(spec, lease, box)).code == NOT_FOUND and "gone" in box.words


def test_a_liar_signs_something_else_for_its_share_and_is_honest_otherwise() -> None:
    liar = Liar(Noop(), 333, seed=7)
    wrong = 0
    for task in TASKS[:200]:
        result, box = run(liar, task)
        assert result.code == OK and result.output == hash_id(box.output)
        assert (box.output != b"42") == liar.hits(task)
        assert len(box.output) == 2
        wrong += liar.hits(task)
    assert 40 < wrong < 95


@pytest.mark.parametrize(("share", "least", "most"), [(0, 0, 0), (1000, 2000, 2000), (333, 580, 750)])
def test_the_share_is_what_was_asked_for(share: int, least: int, most: int) -> None:
    assert least <= sum(Liar(Noop(), share, 1).hits(task) for task in TASKS) <= most


def test_the_same_seed_lies_the_same_and_another_differently() -> None:
    first, again, other = (Liar(Noop(), 500, seed) for seed in (1, 1, 2))
    assert [first.hits(task) for task in TASKS] == [again.hits(task) for task in TASKS]
    assert [first.hits(task) for task in TASKS] != [other.hits(task) for task in TASKS]
    both = next(task for task in TASKS if first.hits(task) and other.hits(task))
    data = b"a longer output, so that two lies are not the same"
    lies = [run(liar, both, data)[1].output for liar in (first, again, other)]
    assert lies[0] == lies[1] != lies[2]


@pytest.mark.parametrize("output", [b"", b"\0", b"x" * 1000])
def test_what_is_altered_is_never_the_same(output: bytes) -> None:
    assert all(altered(output, hash_id(b"%d" % i)) != output for i in range(300))


def test_a_failure_is_not_made_a_success() -> None:
    class Fails(Noop):
        async def run(self, spec: TaskSpec, lease: Lease, box: Box) -> Result:
            return box.result(EXECUTION, b"", (1, 2, 3, 0), "words")

    result, box = run(Liar(Fails(), 1000, 1), TASKS[0])
    assert (result.code, result.output, result.usage) == (EXECUTION, NO_ID, (1, 2, 3, 0))
    assert (box.output, box.words) == (b"", "words")


def test_drills_look_like_what_they_wrap() -> None:
    for drill in (Liar(Noop(), 1, 1), Sleepy(Noop(), 1, 1)):
        assert (drill.name, drill.deterministic, drill.capabilities()) == ("noop", True, ())
    for share in (-1, 1001):
        with pytest.raises(QuorateError):
            Liar(Noop(), share, 1)


def test_a_sleeper_never_answers_its_share() -> None:
    sleepy = Sleepy(Noop(), 500, seed=3)
    awake = next(task for task in TASKS if not sleepy.hits(task))
    asleep = next(task for task in TASKS if sleepy.hits(task))
    assert run(sleepy, awake)[0].code == OK

    async def wait() -> bool:
        spec, lease, box = box_for(asleep)
        task = asyncio.create_task(sleepy.run(spec, lease, box))
        done, _ = await asyncio.wait((task,), timeout=0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return bool(done)

    assert not asyncio.run(wait())
