"""The largest job that the limits allow: what follows from it does not fit in one group, and need not."""

import asyncio
from pathlib import Path

import pytest

from processes import Processes
from quorate.base.limits import GROUP_EVENTS_MAX, JOB_TASKS_MAX
from services.test_lifecycle import Swarm


@pytest.mark.services
def test_ten_thousand_tasks_are_cancelled_in_as_many_groups_as_it_takes(processes: Processes, tmp_path: Path) -> None:
    assert JOB_TASKS_MAX > GROUP_EVENTS_MAX

    async def story() -> None:
        swarm = Swarm(processes, tmp_path)
        swarm.up()
        tasks = [{"name": str(number), "executor": "noop"} for number in range(JOB_TASKS_MAX)]
        async with swarm.client() as client:
            job = await client.submit("large", tasks)
            assert job.total == JOB_TASKS_MAX
            await client.cancel_job(job.job_id)
            done = await client.wait(job.job_id, timeout_s=60)
            assert done.state == "cancelled" and done.cancelled == JOB_TASKS_MAX
            status = await client.status()
            assert status["tasks"]["cancelled"] == JOB_TASKS_MAX and status["epoch"] == 1, "without a reload"
        assert await asyncio.to_thread(swarm.coordinator.stop) == 0

    asyncio.run(story())
