"""A pool: the tasks with the same needs that wait for a lease, and the nodes that could take them.

Knows which tasks wait, not why. Members are kept up to date from the roster's list of changes; the heap
of free nodes is a cache whose stale entries are put right when they come to the top. So the choice of a
node depends on the state alone, never on which choices were asked for before.
Invariants: P1 `best` has exactly the members with a free slot, as of the last `refresh`. P2 every waiting
run that was passed over in a plan cannot be taken by any node that is free and not in `news`.
"""

from bisect import bisect_left, insort
from collections import OrderedDict
from heapq import heapify, heappop, heappush, heapreplace

from quorate.dispatch.roster import Roster
from quorate.dispatch.runs import Run

Entry = tuple[bool, int, int, bytes]
"""(not trusted, load, minus reputation, key): the smallest gets the lease."""
Key = tuple[int, int]
"""(when it may be leased, ns; the run's order)"""

LOAD_SCALE = 1 << 20


class Pool:
    """Waiting runs and eligible nodes for one set of needs."""

    def __init__(self, needs: frozenset[str], roster: Roster) -> None:
        self.needs = needs
        self._roster = roster
        self.fresh: OrderedDict[int, Run] = OrderedDict()
        self.again: list[Key] = []
        self.runs: dict[int, Run] = {}
        self.arrived: dict[int, Key] = {}
        self.members: dict[bytes, None] = {}
        self.trusted: dict[bytes, None] = {}
        self.best: dict[bytes, Entry] = {}
        self.news: dict[bytes, None] = {}
        self.rescan = True
        self._heap: list[Entry] = []
        self._read = -1

    @property
    def idle(self) -> bool:
        return not self.fresh and not self.again

    def add_fresh(self, run: Run) -> None:
        """A run that nobody was leased yet: first come, first served."""
        self.fresh[run.order] = run

    def add_again(self, key: Key, run: Run) -> None:
        """A run that was begun and wants further leases: these go first."""
        insort(self.again, key)
        self.runs[run.order] = run
        self.arrived[run.order] = key

    def remove(self, run: Run, key: Key | None) -> None:
        """A run that waits no longer. `key` None: it was fresh."""
        if key is None:
            del self.fresh[run.order]
            return
        del self.again[bisect_left(self.again, key)]
        del self.runs[run.order]
        self.arrived.pop(run.order, None)

    def refresh(self) -> None:
        """Read the roster's changes since the last time."""
        roster = self._roster
        start = self._read - roster.dropped_changes
        if self._read < 0 or start < 0:
            self.members, self.trusted, self.best, self._heap = {}, {}, {}, []
            self.rescan = True
            changed = list(roster.nodes)
        elif start == len(roster.changes):
            return
        else:
            changed = list(dict.fromkeys(roster.changes[start:]))
        self._read = roster.dropped_changes + len(roster.changes)
        for key in changed:
            self._update(key)
        if len(self._heap) > 4 * len(self.best) + 64:
            self._heap = list(self.best.values())
            heapify(self._heap)

    def _update(self, key: bytes) -> None:
        member = self._roster.offers(key, self.needs)
        trusted = member and self._roster.ranks[key][1]
        if member != (key in self.members) or trusted != (key in self.trusted):
            # Who else could take a run decides whether a node that failed at it may try again.
            self.rescan = True
            _keep(self.members, key, member)
            _keep(self.trusted, key, trusted)
        entry = self._entry(key, {}) if member else None
        if entry is None:
            self.best.pop(key, None)
            return
        self.news[key] = None
        if self.best.get(key) != entry:
            self.best[key] = entry
            heappush(self._heap, entry)

    def _entry(self, key: bytes, taken: dict[bytes, int]) -> Entry | None:
        roster = self._roster
        slots = roster.nodes[key].slots
        running = len(roster.held[key]) + taken.get(key, 0)
        if running >= slots:
            return None
        ppm, trusted = roster.ranks[key]
        return not trusted, running * LOAD_SCALE // slots, -ppm, key

    def has_free(self, taken: dict[bytes, int]) -> bool:
        """Is there any member with a free slot?"""
        return self._top(taken) is not None

    def _top(self, taken: dict[bytes, int]) -> Entry | None:
        """The least loaded free member; entries that no longer hold are corrected on the way."""
        heap = self._heap
        while heap:
            entry = heap[0]
            key = entry[3]
            if self.best.get(key) is not entry:
                heappop(heap)
                continue
            actual = self._entry(key, taken)
            if actual is None:
                heappop(heap)
                del self.best[key]
            elif actual != entry:
                self.best[key] = actual
                heapreplace(heap, actual)
            else:
                return entry
        return None

    def pick(self, run: Run, chosen: list[bytes], taken: dict[bytes, int]) -> bytes | None:
        """The free node that gets the next lease of `run`, not one of `chosen`; None: wait.

        Nodes that hold a lease of it or have voted are out. Nodes that failed at it wait until no other
        trusted node is online, and nodes that are not trusted until no trusted one is: also when the
        better ones are busy now, or a machine that fails at once would be asked again and again.
        """
        distrusted, failed = self._allowed(run, chosen)
        aside: list[Entry] = []
        found: bytes | None = None
        while (entry := self._top(taken)) is not None:
            key = entry[3]
            if entry[0] and not distrusted:
                break  # the trusted sort first
            out = key in run.live or key in run.votes or key in chosen
            if out or (not failed and key in run.avoided):
                aside.append(heappop(self._heap))
                continue
            found = key
            break
        for entry in aside:
            heappush(self._heap, entry)
        return found

    def _allowed(self, run: Run, chosen: list[bytes]) -> tuple[bool, bool]:
        """(may it be a node that is not trusted, may it be one that failed at this run)"""
        if self._others(self.trusted, run, chosen, failed=False):
            return False, False
        if self._others(self.trusted, run, chosen, failed=True):
            return False, True
        return True, not self._others(self.members, run, chosen, failed=False)

    def _others(self, among: dict[bytes, None], run: Run, chosen: list[bytes], failed: bool) -> bool:
        """Is one of these not ruled out, busy or not?"""
        ruled_out = len(run.live) + len(run.votes) + len(chosen) + (0 if failed else len(run.avoided))
        if len(among) > ruled_out:
            return True
        return any(
            key not in run.live and key not in run.votes and key not in chosen and (failed or key not in run.avoided)
            for key in among
        )

    def seen_all(self) -> None:
        """Every waiting run was offered to every free node."""
        self.news.clear()
        self.arrived.clear()
        self.rescan = False


def _keep(into: dict[bytes, None], key: bytes, member: bool) -> None:
    if member:
        into[key] = None
    else:
        into.pop(key, None)
