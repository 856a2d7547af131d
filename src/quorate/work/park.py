"""Events that wait for those they name: received is not yet applied.

Bounded: a full park refuses (1004), it never drops, so the caller stops reading from that peer.
Invariant: P1 an event is parked exactly while one of the ids it names has not been applied.
"""

from quorate.base.errors import RATE_LIMITED, require
from quorate.base.limits import PARKED_EVENTS_MAX
from quorate.model.events import Id
from quorate.work.entries import Entry


class Park:
    """Entries that wait, and what each waits for."""

    __slots__ = ("_lacking", "_waiting", "entries")

    def __init__(self) -> None:
        self.entries: dict[Id, Entry] = {}
        self._lacking: dict[Id, set[Id]] = {}
        self._waiting: dict[Id, list[Id]] = {}

    def add(self, entry: Entry, missing: tuple[Id, ...]) -> None:
        """Keep `entry` until all of `missing` have come. Raises 1004 when full."""
        require(len(self.entries) < PARKED_EVENTS_MAX, f"{PARKED_EVENTS_MAX} events wait for others", RATE_LIMITED)
        self.entries[entry.id] = entry
        self._lacking[entry.id] = set(missing)
        for dep in sorted(self._lacking[entry.id]):
            self._waiting.setdefault(dep, []).append(entry.id)

    def replace(self, entry: Entry) -> None:
        """A waiting entry got its position."""
        self.entries[entry.id] = entry

    def arrived(self, id: Id) -> list[Entry]:
        """`id` was applied (or retracted): those that wait for nothing more."""
        ready = []
        for waiter in self._waiting.pop(id, ()):
            lacking = self._lacking[waiter]
            lacking.discard(id)
            if not lacking:
                ready.append(self._pop(waiter))
        return ready

    def settled(self, position: int) -> list[Entry]:
        """Those whose log was applied up to where they stand: what they still name was let go of."""
        # A receipted event comes after all it names, so nothing that it waits for can still be on its way.
        due = [entry for entry in self.entries.values() if 0 < (entry.position or 0) <= position + 1]
        for entry in due:
            self.drop(entry.id)
        return sorted(due, key=lambda entry: entry.position or 0)

    def drop(self, id: Id) -> Entry:
        """Take an entry out."""
        for dep in sorted(self._lacking[id]):
            waiters = self._waiting[dep]
            waiters.remove(id)
            if not waiters:
                del self._waiting[dep]
        return self._pop(id)

    def _pop(self, id: Id) -> Entry:
        del self._lacking[id]
        return self.entries.pop(id)
