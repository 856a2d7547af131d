"""A swarm in memory: plays the coordinator's part towards `Dispatch`, and nodes of every kind towards it.

`Twins` answers every decision twice, by two instances of which one was rebuilt from a snapshot or from the
log, and fails when they differ. `Checker` reads the events alone and knows none of the code under test.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Any

from quorate.base.codec import pack, unpack
from quorate.base.dice import Dice
from quorate.base.errors import EXECUTION
from quorate.base.ids import NO_ID, hash_id
from quorate.base.limits import MS_NS
from quorate.dispatch import VALIDATORS, Dispatch
from quorate.model import (
    JobCancelled,
    JobSubmitted,
    Lease,
    LeasesEnded,
    LeasesGranted,
    NodeChanged,
    NodeJoined,
    Result,
    ResultsReceived,
    Row,
    TaskSettled,
    TaskSpec,
)

START_NS = 1_700_000_000_000 * MS_NS


def task_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def node_key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def truth(task: bytes) -> bytes:
    return hash_id(b"true" + task)


def spec(number: int, **fields: Any) -> TaskSpec:
    return TaskSpec(task_id(number), fields.pop("executor", "work"), NO_ID, **fields)


def result_of(lease: Lease, output: bytes | None = None, code: int = 0) -> Result:
    out = truth(lease.task) if output is None else output
    return Result(lease.task, lease.slot, lease.epoch, lease.node, code, NO_ID if code else out, (1, 1, 1, 1), b"s")


class Checker:
    """What must hold of the events, whoever wrote them."""

    def __init__(self) -> None:
        self.specs: dict[bytes, TaskSpec] = {}
        self.live: dict[tuple[bytes, int], Lease] = {}
        self.given: dict[tuple[bytes, int, int], bytes] = {}
        self.epochs: dict[tuple[bytes, int], int] = {}
        self.votes: dict[tuple[bytes, bytes], Result] = {}
        self.seen: set[tuple[bytes, int, int]] = set()
        self.settled: dict[bytes, TaskSettled] = {}
        self.nodes: dict[bytes, NodeJoined] = {}
        self.online: set[bytes] = set()
        self.doomed: set[bytes] = set()

    def read(self, body: Any) -> None:
        match body:
            case JobSubmitted():
                for task in body.tasks:
                    assert task.id not in self.specs
                    self.specs[task.id] = task
            case NodeJoined():
                self.nodes[body.node] = body
            case NodeChanged():
                (self.online.add if body.state == "online" else self.online.discard)(body.node)
            case LeasesGranted():
                for lease in body.leases:
                    self._granted(lease)
            case LeasesEnded():
                for task, slot, epoch, _ in body.ended:
                    assert self.live.pop((task, slot)).epoch == epoch
            case ResultsReceived():
                for result in body.results:
                    self._answered(result)
            case JobCancelled():
                self.doomed.add(body.task)
            case TaskSettled():
                self._settled(body)

    def _granted(self, lease: Lease) -> None:
        task, place = self.specs[lease.task], (lease.task, lease.slot)
        node = self.nodes[lease.node]
        assert lease.task not in self.settled, "a settled task is leased no more"
        assert place not in self.live, "two live leases of one slot"
        assert lease.epoch == self.epochs.get(place, 0) + 1, "epochs rise by one"
        assert lease.node in self.online, "only nodes that are online get leases"
        assert {f"executor:{task.executor}", *task.needs} <= set(node.capabilities)
        mine = [other for other in self.live.values() if other.node == lease.node]
        assert len(mine) < node.slots, "no node gets more than it has slots"
        assert all(other.task != lease.task for other in mine), "replicas go to distinct nodes"
        assert (lease.task, lease.node) not in self.votes, "a voter is not asked again"
        for dep in task.deps:
            assert self.settled[dep].state == "completed", "deps come first"
        self.live[place] = lease
        self.epochs[place] = lease.epoch
        self.given[lease.task, lease.slot, lease.epoch] = lease.node

    def _answered(self, result: Result) -> None:
        name = (result.task, result.slot, result.epoch)
        assert self.given[name] == result.node, "only who was given the lease answers"
        assert name not in self.seen, "one result a lease"
        self.seen.add(name)
        held = self.live.get((result.task, result.slot))
        if held is not None and held.epoch == result.epoch:
            del self.live[result.task, result.slot]
        if result.code == 0:
            self.votes.setdefault((result.task, result.node), result)

    def _settled(self, body: TaskSettled) -> None:
        assert body.task not in self.settled, "a task settles once"
        task = self.specs[body.task]
        assert body.spec_hash == hash_id(pack(task))
        results = body.agreed + body.dissent
        for result in results:
            if (result.task, result.slot, result.epoch) not in self.seen:
                self._answered(result)
            assert result.code == 0
            assert result.task == body.task
        assert len({r.node for r in results}) == len(results), "one vote a node"
        assert len({r.slot for r in results}) == len(results), "results count once per slot"
        if body.state == "completed" and task.validator == "exact":
            sizes: dict[bytes, int] = {}
            for result in results:
                sizes[result.output] = sizes.get(result.output, 0) + 1
            top = sizes.pop(body.output)
            second = max(sizes.values(), default=0)
            assert top == len(body.agreed)
            assert {r.output for r in body.agreed} == {body.output}
            assert top >= task.quorum
            assert top >= body.quorum
            assert body.quorum == task.quorum + second or (body.quorum == task.quorum and 2 * top > len(results))
        self.settled[body.task] = body


class Twins:
    """Two instances that must decide alike. `rebuild` replaces one of them."""

    def __init__(self, validators: Any = VALIDATORS) -> None:
        self._validators = validators
        self.one, self.two = Dispatch(validators), Dispatch(validators)
        self.log: list[tuple[Any, int, int]] = []
        self.strict = False

    def apply(self, body: Any, at_ns: int) -> None:
        body = unpack(pack(body), type(body))  # as it will be read from the log
        self.log.append((body, at_ns, len(self.log) + 1))
        self.one.apply(*self.log[-1])
        self.two.apply(*self.log[-1])

    def both(self, name: str, *args: Any) -> Any:
        if self.strict:
            before = self.one.snapshot()
            ignored = getattr(self.one, name)(*args)
            assert self.one.snapshot() == before, f"{name} only decides"
        first, second = getattr(self.one, name)(*args), getattr(self.two, name)(*args)
        assert not self.strict or first == ignored, f"{name} decides the same when asked again"
        assert first == second, f"{name}: {first} or {second}"
        return first

    def refold(self) -> Dispatch:
        fresh = Dispatch(self._validators)
        for entry in self.log:
            fresh.apply(*entry)
        return fresh

    def rebuild(self, from_log: bool) -> None:
        """Swap the second for one made anew, and go on with it as the first."""
        fresh = self.refold() if from_log else Dispatch(self._validators)
        if not from_log:
            fresh.restore(self.one.snapshot())
        assert fresh.snapshot() == self.one.snapshot(), "equal state, equal bytes"
        fresh.skip_rows()
        self.one, self.two = fresh, self.one


@dataclass
class Peer:
    """A node and what is wrong with it: honest, liar, noisy, failing, silent, slow, quitter."""

    key: bytes
    kind: str
    slots: int
    up: bool = True
    running: dict[tuple[bytes, int, int], Lease] = field(default_factory=dict)


class Swarm:
    """A coordinator's loop in virtual time, over peers that answer as their kind does."""

    def __init__(self, seed: int, validators: Any = VALIDATORS) -> None:
        self.dice = Dice(seed)
        self.dispatch = Twins(validators)
        self.checker = Checker()
        self.now = START_NS
        self.peers: dict[bytes, Peer] = {}
        self.rows: dict[tuple[str, bytes], Row | None] = {}
        self.agenda: list[tuple[int, int, Any]] = []
        self.counter = count()
        self.codes: list[int] = []
        self.limit = 4096

    def record(self, bodies: Sequence[Any]) -> None:
        for body in bodies:
            self.dispatch.apply(body, self.now // MS_NS * MS_NS)
            self.checker.read(body)
            if isinstance(body, LeasesGranted):
                for lease in body.leases:
                    self._assign(lease)

    def join(self, number: int, kind: str = "honest", slots: int = 2, offers: tuple[str, ...] = ()) -> Peer:
        key = node_key(number)
        self.record([NodeJoined(key, f"n{number}", NO_ID, ("executor:work", *offers), slots)])
        self.record([NodeChanged(key, "online", "")])
        self.peers[key] = Peer(key, kind, slots)
        return self.peers[key]

    def submit(self, number: int, tasks: Sequence[TaskSpec], name: str = "job") -> bytes:
        job = task_id(1 << 64 | number)
        self.record(self.dispatch.both("draft_job", job, name, tasks, [f"t{t.id[-1]}" for t in tasks], "", "me"))
        return job

    def later(self, delay_ms: int, action: Any) -> None:
        heappush(self.agenda, (self.now + delay_ms * MS_NS, next(self.counter), action))

    def close(self) -> None:
        """The end of a group: what follows, leases, rows."""
        for _ in range(10_000):
            bodies = self.dispatch.both("due", self.now) or self.dispatch.both("plan", self.now, self.limit)
            if not bodies:
                break
            self.record(bodies)
        else:
            raise AssertionError("decisions without end")
        changed = self.dispatch.one.rows()
        self.dispatch.two.skip_rows()
        assert self.dispatch.one.rows() == (), "what did not change has no row"
        keys = [(row.table, row.key) for row in changed]
        assert len(set(keys)) == len(keys), "a row once a group"
        self.rows.update(((row.table, row.key), row.row) for row in changed)

    def restart(self, from_log: bool) -> None:
        """The coordinator comes back as the log or a snapshot has it."""
        self.close()  # its last group was written with its rows
        self.dispatch.rebuild(from_log)

    def run(self, until_ms: int = 10_000_000) -> None:
        """Go on until nothing is left to happen."""
        end = self.now + until_ms * MS_NS
        self.close()
        while True:
            times = [t for t in (self.dispatch.one.deadline(), self.agenda[0][0] if self.agenda else None) if t]
            if not times or min(times) > end:
                return
            self.now = max(self.now, min(times))
            while self.agenda and self.agenda[0][0] <= self.now:
                heappop(self.agenda)[2]()
            self.close()

    def answer(self, lease: Lease, output: bytes | None = None, code: int = 0, words: str = "") -> int:
        peer = self.peers.get(lease.node)
        if peer is not None:
            peer.running.pop((lease.task, lease.slot, lease.epoch), None)
        judged, bodies = self.dispatch.both("judge", result_of(lease, output, code), words, self.now)
        assert (judged == 0) == bool(bodies)
        self.record(bodies)
        self.codes.append(judged)
        return int(judged)

    def _assign(self, lease: Lease) -> None:
        peer = self.peers.get(lease.node)
        if peer is None or peer.kind == "manual":
            return
        peer.running[lease.task, lease.slot, lease.epoch] = lease
        timeout = self.checker.specs[lease.task].timeout_ms
        delay = self.dice.randint(1, max(1, timeout // 2))
        match peer.kind:
            case "silent":
                return
            case "slow" if self.dice.chance(0.5):
                delay = timeout + 3_000 + self.dice.randint(1, 3_000)
            case "quitter":
                self.later(1, lambda: self.hand_back(lease))
                return
        self.later(delay, lambda: self._finish(peer, lease))

    def hand_back(self, lease: Lease) -> None:
        items = ((lease.task, lease.slot, lease.epoch), (b"unknown", 0, 1))
        self.record(self.dispatch.both("hand_back", lease.node, items, "no longer"))

    def _finish(self, peer: Peer, lease: Lease) -> None:
        if not peer.up or (lease.task, lease.slot, lease.epoch) not in peer.running:
            return
        if self.dice.chance(0.3):
            self.dispatch.one.started(peer.key, lease.task, lease.slot, lease.epoch)
        match peer.kind:
            case "liar" if self.dice.chance(0.6):
                self.answer(lease, hash_id(b"lie" + lease.task))  # liars tell the same lie
            case "noisy":
                self.answer(lease, hash_id(b"noise" + peer.key + lease.task))
            case "failing" if self.dice.chance(0.7):
                self.answer(lease, code=EXECUTION, words="exit 1")
            case _:
                self.answer(lease)
        if self.dice.chance(0.1):
            self.answer(lease)  # a duplicate

    def lose(self, key: bytes, forget: bool) -> None:
        """A node goes away; it forgets what it ran, or comes back with it."""
        peer = self.peers[key]
        if peer.up:
            peer.up = False
            if forget:
                peer.running.clear()
            self.record([NodeChanged(key, "offline", "lost")])
            self.record(self.dispatch.both("drop_node", key, "node lost"))

    def regain(self, key: bytes) -> None:
        peer = self.peers[key]
        if not peer.up:
            peer.up = True
            self.record([NodeChanged(key, "online", "back")])
            self.record(self.dispatch.both("keep_only", key, tuple(peer.running.values())))
            for lease in tuple(peer.running.values()):  # it finished them meanwhile: late results
                self.later(self.dice.randint(1, 50), lambda lease=lease: self._finish(peer, lease))
