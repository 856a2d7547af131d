"""Which events are still in memory, and which were let go of.

A live entry is always kept: the state needs it. A spent one (replaced, removed, counted, a move that is done)
is kept so that it can be retracted and so that a duplicate of it is known. Once the caller says that the log
was applied up to a position (`settle`), only the newest `keep` of the spent entries before it stay.
Invariants: H1 nothing is let go of that has no receipt or lies after the settled position. H2 what is kept
depends on the set of events, on the settled position and on `keep`, not on the order of delivery. H3 a
duplicate of what was let go of is known by its position, or by its place in its actor's chain, which the
authority receipts in order.
"""

from collections.abc import Iterable
from heapq import heappop, heappush

from quorate.base.errors import CONFLICT, QuorateError, demand
from quorate.model.bodies import WorkCreated, WorkMoved, WorkRemoved, WorkSet
from quorate.model.events import Id
from quorate.work.entries import Entry


class HistoryGone(QuorateError):
    """Memory does not reach back far enough: retract in a new tree, then fold the log into it again."""

    def __init__(self, what: str) -> None:
        super().__init__(CONFLICT, what, "Fold the log again into a new tree that retracts these first")


class History:
    """Entries by id; the void ones were retracted and count as known, but do nothing."""

    __slots__ = ("_heap", "_ripe", "_spent", "entries", "frontier", "keep", "settled", "void")

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.settled = 0
        self.entries: dict[Id, Entry] = {}
        self.void: dict[Id, Entry | None] = {}
        self.frontier: dict[bytes, int] = {}
        self._spent: dict[Id, None] = {}  # spent, not yet settled
        self._ripe: dict[Id, None] = {}  # spent and settled: let go of when there are more than `keep`
        self._heap: list[tuple[int, Id]] = []  # the ripe by position; may hold ids that are ripe no more

    def known(self, id: Id) -> bool:
        """Was this event applied, or retracted?"""
        return id in self.entries or id in self.void

    def gone(self, entry: Entry) -> bool:
        """Is this a duplicate of an event that was let go of? Raises if it comes after its log was settled."""
        before = entry.seq <= self.frontier.get(entry.actor, -1)
        late = entry.position is not None and entry.position <= self.settled
        demand(before or not late, f"position {entry.position} after {self.settled} was settled", CONFLICT)
        return late or (before and entry.position is None)

    def spend(self, ids: Iterable[Id]) -> None:
        for id in ids:
            self._spent[id] = None

    def mark(self, ids: Iterable[Id], live: frozenset[Id]) -> None:
        """Say anew which of `ids` are live: the others are spent."""
        for id in ids:
            if id in live:
                self._spent.pop(id, None)
                self._ripe.pop(id, None)
            elif id not in self._ripe:
                self._spent[id] = None

    def withdraw(self, id: Id, entry: Entry | None) -> None:
        """From now on `id` does nothing, whether it has come (`entry`) or not."""
        self.entries.pop(id, None)
        self.void[id] = entry
        if entry is not None and id not in self._ripe:
            self._spent[id] = None

    def settle(self, position: int) -> tuple[list[Entry], int]:
        """All up to `position` was applied. The applied entries let go of, and the last position let go of."""
        self.settled = max(self.settled, position)
        for id in list(self._spent):
            entry = self._entry(id)
            if entry.position is not None and entry.position <= self.settled:
                del self._spent[id]
                self._ripe[id] = None
                heappush(self._heap, (entry.position, id))
            elif entry.position is None and id in self.void and entry.seq <= self.frontier.get(entry.actor, -1):
                # Refused by the authority: its chain went on without it, so it never gets a position.
                del self._spent[id], self.void[id]
        return self._trim()

    def check_undo(self, entry: Entry, horizon: int) -> None:
        """Raise `HistoryGone` if what `entry` replaced or moved is in memory no more."""
        if isinstance(entry.body, WorkSet | WorkRemoved) and not all(self.known(dep) for dep in entry.deps):
            raise HistoryGone("what this event replaced is no longer in memory")
        if isinstance(entry.body, WorkCreated | WorkMoved) and 0 < (entry.position or 0) <= horizon:
            raise HistoryGone("moves before and after this one are no longer in memory")

    def _trim(self) -> tuple[list[Entry], int]:
        dropped: list[Entry] = []
        last = 0
        while len(self._ripe) > self.keep:
            last, id = heappop(self._heap)
            if id not in self._ripe:
                continue
            del self._ripe[id]
            entry = self._entry(id)
            self.frontier[entry.actor] = max(self.frontier.get(entry.actor, -1), entry.seq)
            if self.entries.pop(id, None) is not None:
                dropped.append(entry)
            else:
                del self.void[id]
        return dropped, last

    def _entry(self, id: Id) -> Entry:
        entry = self.entries.get(id) or self.void[id]
        assert entry is not None  # only what came is spent
        return entry
