"""Random histories: three replicas write at the same time, exchange in any order, and one has a lying clock.

Also the oracle: what a set of events means, computed from the definitions alone, slowly, in one go.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Struct

from quorate.base.codec import pack
from quorate.base.dice import Dice
from quorate.base.ids import NO_ID, hash_id
from quorate.model import bodies
from quorate.model.events import Event, Id
from quorate.work import WorkTree

KIND = {kind: name for name, (kind, room, _) in bodies.KINDS.items() if room == "work"}
SUBJECTS = tuple(bytes([n]) * 16 for n in range(1, 7))
FIELDS = ("status", "assignee", "x")
ITEMS = ("red", "blue")
LIAR = 2


class Sent(Struct, frozen=True):
    """An event as it is delivered."""

    id: Id
    event: Event
    body: Struct


@dataclass
class Actor:
    """Writes a chain of events. `drift` is added to its clock: the liar's is new for each event."""

    key: bytes
    seq: int = 0
    prev: Id = NO_ID

    def write(self, subject: bytes, body: Struct, hlc: int, deps: tuple[Id, ...] = ()) -> Sent:
        self.seq += 1
        event = Event(
            1,
            bytes(16),
            self.key,
            self.seq,
            self.prev,
            hlc,
            deps,
            NO_ID,
            KIND[type(body)],
            subject,
            hash_id(pack(body)),
        )
        self.prev = hash_id(pack(event))
        return Sent(self.prev, event, body)


def deliver(tree: WorkTree, sent: Sent, position: int | None = None) -> None:
    tree.apply(sent.id, sent.event, sent.body, position)


def fold(events: Iterable[Sent], positions: dict[Id, int], tree: WorkTree | None = None) -> WorkTree:
    """A tree of these events, applied in this order."""
    tree = tree or WorkTree()
    for sent in events:
        deliver(tree, sent, positions.get(sent.id))
    return tree


@dataclass
class World:
    """What was written, what the authority receipted so far, and what each replica holds."""

    dice: Dice
    events: list[Sent] = field(default_factory=list)
    positions: dict[Id, int] = field(default_factory=dict)
    actors: list[Actor] = field(default_factory=lambda: [Actor(bytes([n]) * 32) for n in range(3)])
    trees: list[WorkTree] = field(default_factory=lambda: [WorkTree() for _ in range(3)])
    held: list[dict[Id, Sent]] = field(default_factory=lambda: [{} for _ in range(3)])
    now: int = 1 << 30

    def run(self, steps: int) -> "World":
        for _ in range(steps):
            throw = self.dice.random()
            if throw < 0.5:
                self.write(self.dice.randrange(3))
            elif throw < 0.8:
                self.exchange()
            else:
                self.receipt()
        return self

    def write(self, who: int) -> None:
        """One replica writes by what it has, and applies it at once without a receipt."""
        self.now += 1
        clock = self.dice.choice((0, 1, 1 << 60, self.dice.randrange(1 << 60))) if who == LIAR else self.now
        subject = self.dice.choices(SUBJECTS, weights=(6, 3, 1, 1, 1, 1))[0]  # most meet at one node
        body = self._body()
        sent = self.actors[who].write(subject, body, clock, self._deps(who, subject, body))
        self.events.append(sent)
        self.held[who][sent.id] = sent
        deliver(self.trees[who], sent)

    def exchange(self) -> None:
        """One replica hands some of what it has to another: late, twice, in any order."""
        giver, taker = self.dice.sample(range(3), 2)
        some = list(self.held[giver].values())
        for sent in self.dice.choices(some, k=min(len(some), 4)):
            self.held[taker][sent.id] = sent
            deliver(self.trees[taker], sent, self.positions.get(sent.id) if self.dice.chance(0.5) else None)

    def receipt(self) -> None:
        """The authority takes the next event of some actor whose deps it has."""
        ready = []
        for actor in self.actors:
            chain = [s for s in self.events if s.event.actor == actor.key and s.id not in self.positions]
            if chain and all(dep in self.positions for dep in chain[0].event.deps):
                ready.append(chain[0])
        if ready:
            self.positions[self.dice.choice(ready).id] = 1 + 2 * len(self.positions)

    def receipt_all(self) -> None:
        before = -1
        while before < len(self.positions):
            before = len(self.positions)
            self.receipt()

    def log(self) -> list[Sent]:
        """What was receipted, in order."""
        return sorted((s for s in self.events if s.id in self.positions), key=lambda s: self.positions[s.id])

    def shuffled(self, duplicates: bool = True) -> list[Sent]:
        """All events in any order, some more than once."""
        order = self.events + (self.dice.choices(self.events, k=len(self.events) // 2) if duplicates else [])
        self.dice.shuffle(order)
        return order

    def _body(self) -> Struct:
        dice, field_ = self.dice, self.dice.choices(FIELDS, weights=(5, 1, 1))[0]
        throw = dice.randrange(40)
        if throw < 5:
            parent = dice.choice((b"", *SUBJECTS))
            return bodies.WorkCreated(dice.choice(("task", "project")), f"title {dice.randrange(9)}", parent)
        if throw < 14:
            return bodies.WorkSet(field_, pack_json(dice.choice(("queued", "completed", 7, None, ["a"]))))
        if throw < 21:
            return bodies.WorkAdded(dice.choices(("tags", "x"), weights=(4, 1))[0], dice.choice(ITEMS))
        if throw < 29:
            return bodies.WorkRemoved(dice.choices(("tags", "x"), weights=(4, 1))[0], dice.choice(ITEMS))
        if throw < 32:
            return bodies.WorkCounted(field_, dice.randrange(-3, 9))
        if throw < 39:
            return bodies.WorkMoved(dice.choice((b"", *SUBJECTS)))
        return bodies.WorkTombstoned("why not")

    def _deps(self, who: int, subject: bytes, body: Struct) -> tuple[Id, ...]:
        """Some of what this replica has seen of the same field; now and then something that is no business of it."""
        seen = [s for s in self.held[who].values() if s.event.subject == subject]
        wanted = {bodies.WorkSet: bodies.WorkSet, bodies.WorkRemoved: bodies.WorkAdded}.get(type(body))
        same = [s for s in seen if type(s.body) is wanted and s.body.field == body.field]  # type: ignore[attr-defined]
        if isinstance(body, bodies.WorkRemoved):
            same = [s for s in same if s.body.item == body.item or self.dice.chance(0.1)]  # type: ignore[attr-defined]
        chosen = [s.id for s in same if self.dice.chance(0.8)]
        if self.held[who] and self.dice.chance(0.1):
            chosen.append(self.dice.choice(list(self.held[who])))
        return tuple(dict.fromkeys(chosen))[-8:]


def world(seed: int, steps: int = 110) -> World:
    return World(Dice(seed)).run(steps)


def pack_json(value: Any) -> bytes:
    return msgspec.json.encode(value)


def seen(tree: WorkTree) -> dict[bytes, tuple[Any, ...]]:
    """All that the tree shows, by subject."""
    shown = {}
    for subject in SUBJECTS:
        node = tree.node(subject)
        if node is not None:
            sets = {name: items for name, items in node.sets.items() if items}
            shown[subject] = (node.kind, node.parent, node.fields, sets, node.counters, node.tombstoned)
    return shown


def oracle(
    events: Iterable[Sent], positions: dict[Id, int], void: frozenset[Id] = frozenset()
) -> dict[bytes, tuple[Any, ...]]:
    """The same, from the definitions: no event by event, no undo, no index."""
    by_id = {sent.id: sent for sent in events}
    known = set(void)
    while ready := {i for i, s in by_id.items() if i not in known and all(dep in known for dep in s.event.deps)}:
        known |= ready
    events = [sent for i, sent in by_id.items() if i in known and i not in void]

    def order(sent: Sent) -> tuple[int, int, Id]:
        at = positions.get(sent.id)
        return (0, at, sent.id) if at is not None else (1, sent.event.hlc, sent.id)

    def of(subject: bytes, *kinds: type) -> list[Any]:
        return [s for s in events if s.event.subject == subject and isinstance(s.body, kinds)]

    parents: dict[bytes, bytes] = {}
    for sent in sorted((s for s in events if isinstance(s.body, bodies.WorkCreated | bodies.WorkMoved)), key=order):
        if isinstance(sent.body, bodies.WorkCreated) and sent.event.subject in parents:
            continue
        above = [sent.body.parent]
        while above[-1]:
            above.append(parents.get(above[-1], b""))
        if sent.event.subject not in above:
            parents[sent.event.subject] = sent.body.parent

    shown = {}
    for subject in SUBJECTS:
        creations = sorted(of(subject, bodies.WorkCreated), key=order)
        if not creations:
            continue
        fields, sets, counters = {}, {}, {}
        writes = of(subject, bodies.WorkSet)
        for name in sorted({s.body.field for s in writes}):
            here = [s for s in writes if s.body.field == name]
            named = {dep for s in here for dep in s.event.deps}
            best = max((s for s in here if s.id not in named), key=lambda s: (s.event.hlc, s.id))
            fields[name] = msgspec.json.decode(best.body.value)
        for sent in of(subject, bodies.WorkAdded):
            name, item = sent.body.field, sent.body.item
            removes = [s for s in of(subject, bodies.WorkRemoved) if (s.body.field, s.body.item) == (name, item)]
            if not any(sent.id in s.event.deps for s in removes):
                sets.setdefault(name, set()).add(item)
        for sent in of(subject, bodies.WorkCounted):
            counters[sent.body.field] = counters.get(sent.body.field, 0) + sent.body.by
        shown[subject] = (
            creations[0].body.kind,
            parents.get(subject, b""),
            fields,
            {name: tuple(sorted(items)) for name, items in sets.items()},
            counters,
            bool(of(subject, bodies.WorkTombstoned)),
        )
    return shown
