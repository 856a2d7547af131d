"""Planning: which waiting task goes to which node. Decides, and changes nothing that a decision depends on.

Knows tasks that wait, nodes and their load; not why a task waits, nor what its votes say. Tasks that were
begun come before those that were not; among these the one that became ready first, whatever its needs.
A plan costs in proportion to the leases it grants, and to begun tasks that wait while a node is free.
"""

from collections.abc import Iterator
from heapq import heapify, heappop, heappush

from quorate.base.limits import LEASE_GRACE_MS, MS_NS, POOLS_KEPT
from quorate.dispatch.pools import Key, Pool
from quorate.dispatch.roster import Roster
from quorate.dispatch.runs import Run
from quorate.model import Lease, TaskSpec

Profile = tuple[str, tuple[str, ...]]
"""(executor, needs)"""


def needs_of(spec: TaskSpec) -> frozenset[str]:
    """The capabilities that a node must have for a task."""
    return frozenset((f"executor:{spec.executor}", *spec.needs))


class Planner:
    """The waiting tasks, in pools by what they need."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._pools: dict[Profile, Pool] = {}
        self._waiting: dict[Profile, Pool] = {}
        self._placed: dict[int, tuple[Pool | None, Key | None]] = {}
        self._delayed: list[tuple[int, int]] = []
        self._later: dict[int, Run] = {}
        self._prune_at = POOLS_KEPT

    @property
    def depth(self) -> int:
        """Tasks that wait for a lease."""
        return len(self._placed)

    def place(self, run: Run) -> None:
        """Put a run where it belongs now. To be called after everything that changes what it waits for."""
        if run.order in self._placed:
            self._remove(run)
        if run.over or run.doom is not None or run.waits_for:
            return
        if run.fresh:
            pool = self._pool(run.spec)
            pool.add_fresh(run)
            self._placed[run.order] = (pool, None)
            self._waiting[profile_of(run)] = pool
            return
        slots = run.open_slots()
        if not slots:
            return
        key = (min(run.ready_ns(slot) for slot in slots), run.order)
        # Whether the backoff is over is the plan's to say: it knows the time.
        self._placed[run.order] = (None, key)
        self._later[run.order] = run
        heappush(self._delayed, key)

    def _remove(self, run: Run) -> None:
        pool, key = self._placed.pop(run.order)
        if pool is None:
            del self._later[run.order]
            if len(self._delayed) > 4 * len(self._later) + 1024:
                self._delayed = [kept for kept in self._delayed if self._is_delayed(kept)]
                heapify(self._delayed)
            return
        pool.remove(run, key)
        if pool.idle:
            self._waiting.pop(profile_of(run), None)

    def _is_delayed(self, key: Key) -> bool:
        return self._placed.get(key[1]) == (None, key)

    def _pool(self, spec: TaskSpec) -> Pool:
        profile = (spec.executor, spec.needs)
        pool = self._pools.get(profile)
        if pool is None:
            if len(self._pools) >= self._prune_at:
                self._pools = dict(self._waiting)
                self._prune_at = max(POOLS_KEPT, 2 * len(self._pools))
            pool = self._pools[profile] = Pool(needs_of(spec), self._roster)
        return pool

    def _awake(self, now: int) -> None:
        """Move the runs whose backoff is over to their pools."""
        while self._delayed and self._delayed[0][0] <= now:
            key = heappop(self._delayed)
            if not self._is_delayed(key):
                continue
            run = self._later.pop(key[1])
            pool = self._pool(run.spec)
            pool.add_again(key, run)
            self._placed[run.order] = (pool, key)
            self._waiting[profile_of(run)] = pool

    def deadline(self) -> int | None:
        """When the next backoff ends."""
        while self._delayed and not self._is_delayed(self._delayed[0]):
            heappop(self._delayed)
        return self._delayed[0][0] if self._delayed else None

    def plan(self, now: int, limit: int) -> list[Lease]:
        """At most `limit` leases, for every waiting slot that a free node can take."""
        self._awake(now)
        taken: dict[bytes, int] = {}
        leases: list[Lease] = []
        pools = list(self._waiting.values())
        for pool in pools:
            pool.refresh()
        free = [pool for pool in pools if pool.has_free(taken)]
        for pool in sorted((pool for pool in free if pool.again), key=lambda pool: pool.again[0]):
            for run in _unexamined(pool):
                if len(leases) >= limit or not pool.has_free(taken):
                    break
                self._grant(pool, run, now, limit, taken, leases)
        self._plan_fresh([pool for pool in free if pool.fresh], now, limit, taken, leases)
        if len(leases) < limit:
            for pool in pools:
                pool.seen_all()
        # Were these leases never granted, the nodes would look busier than they are.
        self._roster.changes.extend(taken)
        return leases

    def _plan_fresh(
        self, pools: list[Pool], now: int, limit: int, taken: dict[bytes, int], leases: list[Lease]
    ) -> None:
        queues = [iter(pool.fresh.values()) for pool in pools]
        heads: list[tuple[int, int, int]] = []
        runs: dict[int, Run] = {}
        for index, queue in enumerate(queues):
            _advance(heads, queue, index, runs)
        while heads and len(leases) < limit:
            _, order, index = heappop(heads)
            # What one fresh run of a pool cannot get, none can: its queue is done.
            if self._grant(pools[index], runs.pop(order), now, limit, taken, leases):
                _advance(heads, queues[index], index, runs)

    def _grant(self, pool: Pool, run: Run, now: int, limit: int, taken: dict[bytes, int], leases: list[Lease]) -> bool:
        """Lease the open slots of one run; False when no node was free for the first of them."""
        chosen: list[bytes] = []
        for slot in run.open_slots():
            if len(leases) >= limit:
                break
            if run.ready_ns(slot) > now:
                continue
            node = pool.pick(run, chosen, taken)
            if node is None:
                break
            chosen.append(node)
            taken[node] = taken.get(node, 0) + 1
            epoch = run.slots[slot].epoch + 1 if slot < len(run.slots) else 1
            expires_ns = now + (run.spec.timeout_ms + LEASE_GRACE_MS) * MS_NS
            leases.append(Lease(run.spec.id, slot, epoch, node, expires_ns))
        return bool(chosen)

    def pool_of(self, spec: TaskSpec) -> Pool:
        """The pool of a task's needs, up to date: who could be asked."""
        pool = self._pool(spec)
        pool.refresh()
        return pool


def profile_of(run: Run) -> Profile:
    """What a run's pool is found by."""
    return run.spec.executor, run.spec.needs


def _unexamined(pool: Pool) -> list[Run]:
    """The begun runs that something changed for since they were last passed over, oldest first."""
    if pool.rescan:
        return [pool.runs[order] for _, order in pool.again]
    if pool.news:
        news = list(pool.news)
        return [
            pool.runs[order] for _, order in pool.again if order in pool.arrived or _can_use(pool.runs[order], news)
        ]
    return [pool.runs[order] for _, order in sorted(pool.arrived.values())]


def _can_use(run: Run, nodes: list[bytes]) -> bool:
    return any(key not in run.votes and key not in run.live for key in nodes)


def _advance(heads: list[tuple[int, int, int]], queue: Iterator[Run], index: int, runs: dict[int, Run]) -> None:
    """Put the next fresh run of a queue among the heads."""
    run = next(queue, None)
    if run is not None:
        runs[run.order] = run
        heappush(heads, (run.ready_at, run.order, index))
