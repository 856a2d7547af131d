"""After a start: the snapshot, and every event after it."""

import asyncio

from quorate.base.limits import READ_BATCH_EVENTS
from quorate.ports import Store
from quorate.services.coordinator.machine import SNAPSHOT_KEY, Machine


async def replay(machine: Machine, store: Store, size: int) -> None:
    """Bring a new machine to where the log of `size` events ends."""
    snapshot = await store.load(SNAPSHOT_KEY)
    if snapshot:
        machine.realm.restore(snapshot)
    while machine.realm.position < size:
        async for position, sealed in store.read(machine.realm.position, READ_BATCH_EVENTS):
            machine.realm.replay(position, sealed)
        machine.skip_rows()
        await asyncio.sleep(0)  # signals are heard also while a long log is read
