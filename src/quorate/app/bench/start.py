"""`start`: a log of a million events, and how long a coordinator takes from the start of its process to being ready.

The log is written by the coordinator's own machine into its own store, in groups, with its snapshots: jobs, leases,
signed results, tasks of the work tree and notes. It ends just before the next snapshot would be made, which is where
a start has most to fold.
"""

import time
from pathlib import Path

from quorate.adapters.keyfile import load_or_create_key
from quorate.adapters.sqlite import SqliteStore
from quorate.adapters.system import SystemEntropy
from quorate.app.bench.figures import Figure, figure
from quorate.app.bench.machine import sync_ms
from quorate.app.bench.swarm import Swarm
from quorate.app.up import admin_token
from quorate.base.errors import invariant
from quorate.base.ids import hash_id, uuid7
from quorate.base.limits import MS_NS, SECOND_NS, SNAPSHOT_EVERY_EVENTS
from quorate.base.signing import Ed25519Signer, verify
from quorate.dispatch import VALIDATORS
from quorate.model import (
    Append,
    Effect,
    Keep,
    NodeChanged,
    NodeJoined,
    Noted,
    Project,
    Result,
    Save,
    TaskSpec,
)
from quorate.ports import Group
from quorate.security import sign_result
from quorate.services.coordinator import SNAPSHOT_KEY, Closing, CoordinatorSettings, Machine

EVENTS = 1_000_000
QUICK_EVENTS = 100_000
JOB_TASKS = 1_000
NODES = 10
SLOTS = 100
WORK_EVERY = 20  # of so many tasks, one is of the work tree, and one note is written
TAIL_SPARE = 4_000  # events that one more round may add without making a snapshot


async def measure(place: Path, quick: bool) -> list[Figure]:
    """`journal.start_1m_s`."""
    events, runs = (QUICK_EVENTS, 2) if quick else (EVENTS, 5)
    data = place / "swarm" / "up"
    log = Log(data)
    await log.open()
    began = time.perf_counter()
    await log.grow(events)
    built_s = time.perf_counter() - began
    await log.store.close()
    taken: list[float] = []
    for _ in range(runs):
        async with Swarm(place / "swarm", 0, 1) as swarm:
            taken.append(swarm.start_s)
            status = await swarm.client.status()
            invariant(status["position"] >= events, "the whole log is there")
            await swarm.coordinator.kill()  # an orderly stop would save a snapshot: the next start had nothing to fold
    size = sum(path.stat().st_size for path in data.iterdir() if path.is_file())
    return [
        figure(
            "journal.start_1m_s",
            taken,
            f"process started to ready: {log.position} events, {log.tail} of them after the last snapshot, "
            f"{size / 1e6:.0f} MB on disk, kill -9 before each start; built in {built_s:.0f} s; "
            f"one sync {sync_ms(place):.2f} ms",
        )
    ]


class Log:
    """A data directory that a coordinator could have written, made by its machine without links."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._now = time.time_ns() - 24 * 3600 * SECOND_NS
        self._entropy = SystemEntropy()
        self._nodes = [Ed25519Signer(hash_id(b"bench node %d" % index)) for index in range(NODES)]
        self._of = {node.public: node for node in self._nodes}
        self._snapshot_at = 0
        self._counted = 0
        self._committed = 0
        self.store: SqliteStore
        self.machine: Machine

    @property
    def position(self) -> int:
        return self.machine.realm.position

    @property
    def tail(self) -> int:
        """Events since the last snapshot."""
        return self.position - self._snapshot_at

    async def open(self) -> None:
        """A new realm with its nodes."""
        self.store = await SqliteStore.open(self._data)
        self._epoch = await self.store.open_epoch()
        signer = load_or_create_key(self._data / "authority.key")
        salt_key = hash_id(signer.sign(b"quorate salt 1\x00"))
        self.machine = Machine(CoordinatorSettings(), signer, verify, salt_key, VALIDATORS)
        self.machine.found(self._entropy.bytes(16), hash_id(admin_token(self._data).encode()), self._now)
        group, rows = self.machine.realm.close()
        self._committed = await self.store.commit(Group(group, rows=rows), self._epoch, 0)
        self.machine.start(self._epoch, None, self._now)
        realm = self.machine.realm
        for index, node in enumerate(self._nodes):
            body = NodeJoined(node.public, f"node-{index}", realm.root_grant, ("executor:noop",), SLOTS)
            realm.record("node.joined", node.public, body, realm.root_grant, self._now)
            online = NodeChanged(node.public, "online", "joined")
            realm.record("node.changed", node.public, online, realm.root_grant, self._now)
        await self._commit()

    async def grow(self, events: int) -> None:
        """Jobs until there are as many events, and a tail that is nearly due for a snapshot."""
        wanted = min(SNAPSHOT_EVERY_EVENTS, events) - TAIL_SPARE
        while self.position < events or self.tail < wanted:
            await self._job()

    async def _job(self) -> None:
        realm = self.machine.realm
        specs = tuple(self._spec() for _ in range(JOB_TASKS))
        names = tuple(f"task {index}" for index in range(JOB_TASKS))
        for body in realm.dispatch.draft_job(self._id(), "bench", specs, names, ""):
            realm.record("job.submitted", body.job, body, realm.root_grant, self._now)
        await self._commit()
        while leases := [lease for node in self._nodes for lease in realm.dispatch.leases_on(node.public)]:
            for lease in leases:
                draft = Result(lease.task, lease.slot, lease.epoch, lease.node, 0, hash_id(b""), (1, 0), b"")
                result = sign_result(realm.id, draft, self._of[lease.node])
                code, bodies = realm.dispatch.judge(result, "", self._now)
                invariant(code == 0, "a result of a live lease counts")
                realm.record_all(bodies, self._now)
            self._people()
            await self._commit()

    def _people(self) -> None:
        """What people and agents do meanwhile."""
        realm = self.machine.realm
        for _ in range(JOB_TASKS // WORK_EVERY):
            self._counted += 1
            note = Noted("bench", b'{"number":%d}' % self._counted)
            realm.record("note", realm.id, note, realm.root_grant, self._now)
            node = self._id()
            for kind, body, deps in realm.work.draft_create(node, "task", f"work {self._counted}", b""):
                realm.record(kind, node, body, realm.root_grant, self._now, deps)
            for kind, body, deps in realm.work.draft_set(node, "status", "completed"):
                realm.record(kind, node, body, realm.root_grant, self._now, deps)

    def _spec(self) -> TaskSpec:
        return TaskSpec(self._id(), "noop", hash_id(b""), (), (), 1, 1, "exact", 60_000, 2, 0)

    def _id(self) -> bytes:
        return uuid7(self._now, self._entropy.bytes(10))

    async def _commit(self) -> None:
        """Close the group as the driver does."""
        self._now += 5 * MS_NS
        group = _group(self.machine.step(Closing(), self._now))
        self._committed = await self.store.commit(group, self._epoch, self._committed)
        if any(save.key == SNAPSHOT_KEY for save in group.saves):
            self._snapshot_at = self.position


def _group(effects: tuple[Effect, ...]) -> Group:
    return Group(
        tuple(draft for e in effects if isinstance(e, Append) for draft in e.drafts),
        tuple(e for e in effects if isinstance(e, Save)),
        tuple(e for e in effects if isinstance(e, Keep)),
        tuple(e for e in effects if isinstance(e, Project)),
    )
