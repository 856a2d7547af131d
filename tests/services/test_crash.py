"""Kill -9 on real processes, under load: nothing acknowledged is lost, nothing is there twice, every job ends."""

import asyncio
from pathlib import Path

import pytest

from processes import Processes
from services.storm import storm

ROUNDS = 20
SOAK_ROUNDS = 200


@pytest.mark.services
@pytest.mark.timeout(240)
def test_nothing_acknowledged_is_lost_through_twenty_crashes(processes: Processes, tmp_path: Path) -> None:
    done = asyncio.run(storm(processes, tmp_path, seed=1, rounds=ROUNDS))
    assert sum(done.kills.values()) == ROUNDS
    assert done.kills["coordinator"] and done.kills["node"]
    assert len(done.acknowledged.jobs) > 5 and len(done.acknowledged.notes) > 5, "the load was there"


@pytest.mark.soak
@pytest.mark.services
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(2, 4))
def test_nothing_acknowledged_is_lost_through_two_hundred_crashes(
    processes: Processes, tmp_path: Path, seed: int
) -> None:
    asyncio.run(storm(processes, tmp_path, seed, rounds=SOAK_ROUNDS // 2))
