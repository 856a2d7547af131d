"""The virtual loop: time jumps, order is a function of the seed, a hang is an error that names what waits."""

import asyncio

import pytest

from quorate.base.dice import Dice
from quorate.sim.loop import Hang, VirtualLoop
from quorate.sim.process import SimClock, SimProcess


def test_time_jumps_to_the_next_timer_and_never_falls() -> None:
    loop = VirtualLoop()

    async def main() -> list[float]:
        seen = []
        for wait in (3600.0, 0.25, 0.0, 86_400.0):
            await asyncio.sleep(wait)
            seen.append(loop.time())
        return seen

    assert loop.run(main(), virtual_s=100_000, steps=1_000) == [3600.0, 3600.25, 3600.25, 90_000.25]
    loop.close()


def test_a_wait_for_nothing_is_a_hang_that_names_the_task() -> None:
    loop = VirtualLoop()

    async def waits_for_ever() -> None:
        await loop.create_future()

    async def main() -> None:
        await loop.create_task(waits_for_ever(), name="the forgotten one")

    with pytest.raises(Hang, match="the forgotten one"):
        loop.run(main(), virtual_s=10, steps=1_000)
    loop.close()


def test_virtual_time_and_steps_are_capped() -> None:
    async def ticks(wait: float) -> None:
        for _ in range(10_000):
            await asyncio.sleep(wait)

    for wait, match in ((1.0, "time is up"), (0.0, "steps without an end")):
        loop = VirtualLoop()
        with pytest.raises(Hang, match=match):
            loop.run(ticks(wait), virtual_s=50, steps=500)
        loop.close()


def _order(seed: int | None) -> list[int]:
    loop = VirtualLoop(None if seed is None else Dice(seed))
    order: list[int] = []

    async def one(i: int) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
            order.append(i)

    async def main() -> None:
        await asyncio.gather(*(one(i) for i in range(8)))

    loop.run(main(), virtual_s=1, steps=1_000)
    loop.close()
    return order


def test_dice_shuffle_what_is_ready_together_and_nothing_else() -> None:
    assert _order(None) == list(range(8)) * 3
    assert _order(1) == _order(1)
    assert _order(1) != _order(2)
    assert sorted(_order(1)) == sorted(_order(None))


def test_sets_of_tasks_iterate_alike_in_each_run() -> None:
    def run() -> list[str]:
        loop = VirtualLoop()

        async def main() -> list[str]:
            tasks = [loop.create_task(asyncio.sleep(0), name=f"t{i}") for i in range(40)]
            done, _ = await asyncio.wait(tasks)
            return [task.get_name() for task in done]

        try:
            return loop.run(main(), virtual_s=1, steps=1_000)
        finally:
            loop.close()

    first = run()
    ballast = [object() for _ in range(1_000)]
    assert all(run() == first for _ in range(5)), ballast


def test_threads_are_refused() -> None:
    loop = VirtualLoop()

    async def main() -> None:
        await asyncio.to_thread(print)

    with pytest.raises(NotImplementedError):
        loop.run(main(), virtual_s=1, steps=100)
    loop.close()


def test_a_killed_process_leaves_no_task_behind_though_one_clings_to_life() -> None:
    loop = VirtualLoop()
    log: list[str] = []

    async def clings() -> None:
        for _ in range(5):
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                log.append("no")

    async def starts_another() -> None:
        loop.create_task(clings())
        await asyncio.sleep(1000)

    async def main() -> int:
        process = SimProcess(loop, "p")
        process.spawn(starts_another(), "main")
        await asyncio.sleep(1)
        assert process.tasks == 2
        process.kill()
        await process.buried()
        return process.tasks

    assert loop.run(main(), virtual_s=10, steps=1_000) == 0
    assert log == ["no"] * 5
    loop.close()


def test_a_clock_has_skew_drift_and_jumps() -> None:
    loop = VirtualLoop()
    true, off = SimClock(loop), SimClock(loop, skew_ms=250, drift_ppm=100)
    assert off.now() - true.now() == 250_000_000
    loop.run(asyncio.sleep(1000), virtual_s=2000, steps=100)
    assert off.now() - true.now() == 350_000_000
    off.jump(-350)
    assert off.now() == true.now()
    loop.close()
