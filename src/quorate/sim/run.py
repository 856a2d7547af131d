"""Runs seeds, one or thousands, and says what came of them. `main` is what the command line calls.

Invariant: an outcome is a function of (seed, profile): the digest of its trace proves it.
"""

import asyncio
import gc
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from quorate.base.dice import Dice
from quorate.sim.checkers import check
from quorate.sim.faults import PROFILES, draw
from quorate.sim.loop import Hang, VirtualLoop
from quorate.sim.world import World

VIRTUAL_S_MAX = 600.0
STEPS_MAX = 600_000
CHUNK_SEEDS = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed came to. `trace` is empty unless it was asked for or something is wrong."""

    seed: int
    profile: str
    violations: tuple[str, ...]
    tasks: int
    events: int
    faults: int
    virtual_s: float
    steps: int
    digest: str
    trace: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return not self.violations


def run_seed(seed: int, profile: str, keep_trace: bool = False) -> Outcome:
    """One world from its first to its last event, and the checkers on what is left of it."""
    plan = draw(seed, profile)
    loop = VirtualLoop(Dice(f"order/{seed}/{profile}") if plan.shuffle else None)
    collecting = gc.isenabled()
    gc.disable()  # a collection in the middle would run clean-up code at a time that the seed does not choose
    try:
        asyncio.set_event_loop(loop)
        world = World(plan, loop)
        violations = _live(world, loop)
        violations += check(world)
    finally:
        asyncio.set_event_loop(None)
        loop.abandon()
        if collecting:
            gc.enable()
    for violation in violations:
        world.trace.add("VIOLATION", violation)
    trace = (*plan.lines(), *world.trace.lines()) if keep_trace or violations else ()
    return Outcome(
        seed,
        profile,
        tuple(violations),
        world.follower.tasks,
        len(world.coordinator.disk.tables.events),
        world.faults(),
        loop.time(),
        loop.steps,
        world.trace.digest(),
        trace,
    )


def _live(world: World, loop: VirtualLoop) -> list[str]:
    try:
        loop.run(world.run(), VIRTUAL_S_MAX, STEPS_MAX)
        loop.run(world.end(), VIRTUAL_S_MAX, STEPS_MAX)
    except Hang as hang:
        return [f"hang: {hang}"]
    except Exception as error:  # of the code under test: to be shown with its seed, like any violation
        place = traceback.extract_tb(error.__traceback__)[-1]
        return [f"the run broke: {error!r} at {place.name}:{place.lineno}"]
    return []


def profile_of(seed: int, profile: str) -> str:
    """`all` goes through the profiles in turn."""
    return PROFILES[seed % len(PROFILES)] if profile == "all" else profile


def run_seeds(seeds: Iterable[int], profile: str = "all", jobs: int = 2) -> Iterator[Outcome]:
    """Outcomes in the order of the seeds, `jobs` processes at work."""
    work = [(seed, profile_of(seed, profile)) for seed in seeds]
    if jobs <= 1 or len(work) == 1:
        yield from (run_seed(*item) for item in work)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_run_pair, work, chunksize=CHUNK_SEEDS)


def _run_pair(item: tuple[int, str]) -> Outcome:
    return run_seed(*item)


@dataclass(slots=True)
class Tally:
    """One row of the table: what the seeds of a profile came to together."""

    seeds: int = 0
    tasks: int = 0
    events: int = 0
    faults: int = 0
    virtual_s: float = 0.0
    failed: list[int] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.seeds += 1
        self.tasks += outcome.tasks
        self.events += outcome.events
        self.faults += outcome.faults
        self.virtual_s += outcome.virtual_s
        if not outcome.clean:
            self.failed.append(outcome.seed)

    def line(self, name: str) -> str:
        return (
            f"{name:<18}{self.seeds:>7}{self.tasks:>9}{self.events:>10}{self.faults:>9}"
            f"{self.virtual_s:>12.0f}{len(self.failed):>11}"
        )


HEADING = f"{'faults':<18}{'seeds':>7}{'tasks':>9}{'events':>10}{'faults':>9}{'virtual s':>12}{'violations':>11}"


def table(tallies: dict[str, Tally]) -> list[str]:
    """The table by kind of fault, with a total."""
    total = Tally()
    for tally in tallies.values():
        total.seeds += tally.seeds
        total.tasks += tally.tasks
        total.events += tally.events
        total.faults += tally.faults
        total.virtual_s += tally.virtual_s
        total.failed += tally.failed
    rows = [tallies[name].line(name) for name in PROFILES if name in tallies]
    return [HEADING, *rows, total.line("total")]


def main(
    seeds: str = "0:100",
    profile: str = "all",
    replay: int | None = None,
    jobs: int = 2,
    echo: Callable[[str], None] = print,
) -> int:
    """`quorate sim`. `seeds` is `first:end` or one number; `replay` prints one seed's trace. 1 if anything is wrong."""
    if replay is not None:
        return _replay(replay, profile, echo)
    first, _, end = seeds.partition(":")
    span = range(int(first), int(end) if end else int(first) + 1)
    began = time.perf_counter()
    tallies: dict[str, Tally] = {}
    for outcome in run_seeds(span, profile, jobs):
        tallies.setdefault(outcome.profile, Tally()).add(outcome)
        for violation in outcome.violations:
            echo(f"seed {outcome.seed} ({outcome.profile}): {violation}")
    took = time.perf_counter() - began
    for line in table(tallies):
        echo(line)
    failed = sorted(seed for tally in tallies.values() for seed in tally.failed)
    echo(f"{len(span)} seeds in {took:.1f} s, {len(span) / took * 60:.0f} a minute")
    if failed:
        echo(f"replay with: quorate sim --profile {profile} --replay {failed[0]}")
    return 1 if failed else 0


def _replay(seed: int, profile: str, echo: Callable[[str], None]) -> int:
    outcome = run_seed(seed, profile_of(seed, profile), keep_trace=True)
    for line in outcome.trace:
        echo(line)
    echo(f"digest {outcome.digest}")
    return 0 if outcome.clean else 1
