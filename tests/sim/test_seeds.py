"""The whole swarm under every kind of fault: a few seeds of each here, hundreds in `make soak`."""

import subprocess
import sys

import pytest

from quorate.base.dice import Dice
from quorate.sim.checkers import CHECKERS, check
from quorate.sim.faults import PROFILES, draw
from quorate.sim.loop import VirtualLoop
from quorate.sim.run import main, run_seed, run_seeds
from quorate.sim.world import World

SEEDS = range(1_000, 1_005)
SEEDS_SOAK = range(2_000, 2_060)


@pytest.mark.parametrize("profile", PROFILES)
def test_no_seed_breaks_a_promise(profile: str) -> None:
    outcomes = list(run_seeds(SEEDS, profile, jobs=1))
    assert [(o.seed, o.violations) for o in outcomes if not o.clean] == []
    assert sum(o.tasks for o in outcomes) > 20
    assert sum(o.events for o in outcomes) > 100
    assert (sum(o.faults for o in outcomes) > 0) is (profile != "none"), "faults take effect"


@pytest.mark.soak
@pytest.mark.parametrize("profile", PROFILES)
def test_no_seed_of_many_breaks_a_promise(profile: str) -> None:
    assert [(o.seed, o.violations) for o in run_seeds(SEEDS_SOAK, profile, jobs=1) if not o.clean] == []


def test_the_same_seed_gives_the_same_bytes_in_any_process() -> None:
    here = run_seed(1_003, "mixed", keep_trace=True)
    assert here == run_seed(1_003, "mixed", keep_trace=True)
    code = "from quorate.sim.run import run_seed; print(run_seed(1_003, 'mixed').digest)"
    environment = {"PYTHONHASHSEED": "77"}
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert there.stdout.strip() == here.digest
    assert run_seed(1_004, "mixed").digest != here.digest


def test_a_clean_run_has_evidence_for_every_checker() -> None:
    """Not clean for want of anything to look at."""
    loop = VirtualLoop(Dice(1))
    world = World(draw(1, "none"), loop)
    loop.run(world.run(), 600, 600_000)
    loop.run(world.end(), 600, 600_000)
    assert check(world) == []
    assert len(CHECKERS) == 10
    assert sum(len(client.calls) for client in world.clients) > 2
    assert len(world.follower.seen) == len(world.coordinator.disk.tables.events) > 20
    assert len(world.heads) > 5
    assert {"tasks", "jobs", "nodes"} <= world.coordinator.disk.tables.rows.keys()
    world.follower.seen[3] = bytes(32)
    world.heads.append((world.heads[0][0], world.heads[-1][1]))
    world.coordinator.disk.tables.rows["tasks"].popitem()
    call = next(call for client in world.clients for call in client.calls if call.what == "job")
    call.over = False
    found = {violation.partition(":")[0] for violation in check(world)}
    assert {"nothing_acknowledged_is_lost", "read_model_is_the_fold", "every_job_ends", "log_is_sound"} <= found
    loop.abandon()


def test_the_command_prints_a_table_and_replays_a_seed() -> None:
    lines: list[str] = []
    assert main("5:7", "crash_node", echo=lines.append, jobs=2) == 0
    assert lines[1].split()[:2] == ["crash_node", "2"]
    assert lines[-2].split()[0] == "total"
    lines.clear()
    assert main(profile="crash_node", replay=5, echo=lines.append) == 0
    assert lines[0].startswith("seed 5, profile crash_node")
    assert lines[-1] == f"digest {run_seed(5, 'crash_node').digest}"
    assert any("is killed" in line for line in lines)
