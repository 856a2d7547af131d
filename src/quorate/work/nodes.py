"""The state of one work node: what its events fold to, and nothing of any other node.

A tombstone wins: a node that has one stays tombstoned whatever else is written, before, after or at the same
time; the writes are folded all the same, so that a tombstone that is retracted gives back the node as it
would have been. Children stay where they are. Of several creations of one id the first receipted counts.
Invariants: N1 `apply` one by one equals `refold` of all. N2 an entry is live (the state shows or needs it) or
spent (kept only to be undone or known again). N3 what was let go of is in the settled part.
"""

from collections.abc import Iterable

from quorate.model.bodies import WorkAdded, WorkCounted, WorkCreated, WorkRemoved, WorkSet, WorkTombstoned
from quorate.model.events import Id
from quorate.work import registers, sets
from quorate.work.counters import Counter
from quorate.work.entries import Entry, order_of
from quorate.work.registers import Heads
from quorate.work.sets import DotSet


class Node:
    """One node. Its place is in the tree."""

    __slots__ = (
        "counters",
        "creations",
        "provisional",
        "registers",
        "sets",
        "settled_hlc",
        "subject",
        "tombstones",
        "updated",
    )

    def __init__(self, subject: bytes) -> None:
        self.subject = subject
        self.creations: tuple[Entry, ...] = ()
        self.tombstones: tuple[Id, ...] = ()
        self.registers: dict[str, Heads] = {}
        self.sets: dict[str, DotSet] = {}
        self.counters: dict[str, Counter] = {}
        self.updated = 0
        self.settled_hlc = 0
        self.provisional = 0

    @property
    def creation(self) -> WorkCreated | None:
        """The creation that counts; None while no creation has come (or none was left)."""
        if not self.creations:
            return None
        body = self.creations[0].body
        assert isinstance(body, WorkCreated)
        return body

    @property
    def live(self) -> bool:
        """Is there something to show?"""
        return bool(self.creations) and not self.tombstones

    def fields(self) -> frozenset[str]:
        """Names in use, whatever for."""
        return frozenset((*self.registers, *self.sets, *self.counters))

    def apply(self, entry: Entry) -> tuple[Id, ...]:
        """Fold one event that comes after all it names; the ids that are spent from now on."""
        self.updated = max(self.updated, entry.hlc)
        self.provisional += entry.position is None
        body = entry.body
        if isinstance(body, WorkSet):
            return self._write(body.field, entry)
        if isinstance(body, WorkAdded):
            self.sets.setdefault(body.field, DotSet()).add(body.item, entry.id)
            return ()
        if isinstance(body, WorkRemoved):
            return (*self._remove(body, entry.deps), entry.id)
        if isinstance(body, WorkCounted):
            self.counters.setdefault(body.field, Counter()).count(body.by)
            return (entry.id,)
        if isinstance(body, WorkCreated):
            self.creations = tuple(sorted((*self.creations, entry), key=order_of))
            return ()
        if isinstance(body, WorkTombstoned):
            self.tombstones = tuple(sorted((*self.tombstones, entry.id)))
            return ()
        return (entry.id,)  # a move: the tree has it

    def confirm(self, entry: Entry) -> None:
        """An entry got its position: creations may change places."""
        self.provisional -= 1
        if isinstance(entry.body, WorkCreated):
            kept = [creation for creation in self.creations if creation.id != entry.id]
            self.creations = tuple(sorted((*kept, entry), key=order_of))
        elif isinstance(entry.body, WorkSet):
            heads = self.registers[entry.body.field]
            self.registers[entry.body.field] = tuple(entry if head.id == entry.id else head for head in heads)

    def let_go(self, entry: Entry) -> None:
        """A spent, settled entry is forgotten: what it did stays."""
        self.settled_hlc = max(self.settled_hlc, entry.hlc)
        if isinstance(entry.body, WorkCounted):
            self.counters[entry.body.field].settle(entry.body.by)

    def refold(self, entries: Iterable[Entry]) -> frozenset[Id]:
        """Fold the settled part and `entries`, which may come in any order; the ids that are live."""
        known = list(entries)
        self.updated = max([self.settled_hlc, *(entry.hlc for entry in known)])
        self.provisional = sum(entry.position is None for entry in known)
        self.creations = tuple(sorted((e for e in known if isinstance(e.body, WorkCreated)), key=order_of))
        self.tombstones = tuple(sorted(e.id for e in known if isinstance(e.body, WorkTombstoned)))
        self._refold_registers(known)
        self._refold_sets(known)
        self._refold_counters(known)
        return frozenset(
            (
                *(entry.id for entry in self.creations),
                *self.tombstones,
                *(head.id for heads in self.registers.values() for head in heads),
                *(dot for field in self.sets.values() for dots in field.items.values() for dot in dots),
            )
        )

    def empty(self) -> bool:
        """Is this node as if nothing had ever been written to it?"""
        written = self.creations or self.tombstones or self.registers or self.sets or self.counters
        return not written and not self.updated

    def _write(self, field: str, entry: Entry) -> tuple[Id, ...]:
        before = self.registers.get(field, ())
        self.registers[field] = registers.write(before, entry)
        return tuple(head.id for head in before if head.id in entry.deps)

    def _remove(self, body: WorkRemoved, dots: tuple[Id, ...]) -> tuple[Id, ...]:
        field = self.sets.get(body.field)
        if field is None:
            return ()
        ended = field.remove(body.item, dots)
        if not field.items:
            del self.sets[body.field]
        return ended

    def _refold_registers(self, known: list[Entry]) -> None:
        writes: dict[str, list[Entry]] = {}
        for entry in known:
            if isinstance(entry.body, WorkSet):
                writes.setdefault(entry.body.field, []).append(entry)
        self.registers = {field: registers.fold(of_field) for field, of_field in writes.items()}

    def _refold_sets(self, known: list[Entry]) -> None:
        changes: dict[str, list[Entry]] = {}
        for entry in known:
            if isinstance(entry.body, WorkAdded | WorkRemoved):
                changes.setdefault(entry.body.field, []).append(entry)
        folded = {field: sets.fold(of_field) for field, of_field in changes.items()}
        self.sets = {field: dots for field, dots in folded.items() if dots.items}

    def _refold_counters(self, known: list[Entry]) -> None:
        settled = {field: counter for field, counter in self.counters.items() if counter.trimmed}
        self.counters = {field: Counter(counter.settled, True) for field, counter in settled.items()}
        for entry in known:
            if isinstance(entry.body, WorkCounted):
                self.counters.setdefault(entry.body.field, Counter()).count(entry.body.by)
