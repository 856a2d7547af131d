"""What the authority judges before it receipts an event: does the node exist, is there room for it.

A replica folds whatever was receipted: were it to judge by the state it happens to have, two replicas could
judge differently and never agree again. So bounds on state are kept here, once, in receipt order.
Knows the present state and the earlier events of the batch in hand. Changes nothing but its own tally.
Invariant: A1 events that pass, applied in this order, leave every node within its bounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from quorate.base.errors import CONFLICT, NOT_FOUND, TOO_LARGE, require
from quorate.base.limits import (
    TREE_DEPTH_MAX,
    WORK_FIELDS_MAX,
    WORK_HEADS_MAX,
    WORK_NODES_MAX,
    WORK_SET_ITEMS_MAX,
)
from quorate.model.bodies import (
    WorkAdded,
    WorkCounted,
    WorkCreated,
    WorkMoved,
    WorkRemoved,
    WorkSet,
    WorkTombstoned,
)
from quorate.model.events import Id
from quorate.work import registers
from quorate.work.entries import Entry
from quorate.work.history import History
from quorate.work.nodes import Node
from quorate.work.registers import Heads
from quorate.work.tree import Tree

_Field = tuple[bytes, str]


@dataclass(slots=True)
class Admission:
    """Judges one batch, event by event."""

    nodes: Mapping[bytes, Node]
    tree: Tree
    history: History
    _ids: dict[Id, None] = field(default_factory=dict)
    _depths: dict[bytes, int] = field(default_factory=dict)
    _tombstoned: dict[bytes, None] = field(default_factory=dict)
    _fields: dict[bytes, dict[str, None]] = field(default_factory=dict)
    _heads: dict[_Field, Heads] = field(default_factory=dict)
    _dots: dict[_Field, dict[Id, None]] = field(default_factory=dict)

    def judge(self, entry: Entry) -> None:
        """Raise 1000, 1006 or 1007 unless `entry` may come next."""
        for dep in entry.deps:
            known = self.history.known(dep) or dep in self._ids
            require(known, f"names event {dep.hex()}, which is not here or was replaced long ago", CONFLICT)
        body = entry.body
        if isinstance(body, WorkCreated):
            self._create(entry.subject, body.parent)
        else:
            require(self._exists(entry.subject), f"no work node {entry.subject.hex()}", NOT_FOUND)
        if isinstance(body, WorkMoved):
            self._depth_below(entry.subject, body.parent)
        elif isinstance(body, WorkTombstoned):
            self._tombstone(entry.subject)
        elif isinstance(body, WorkSet | WorkAdded | WorkCounted):
            self._field(entry.subject, body.field)
        self._count(entry)
        self._ids[entry.id] = None

    def _exists(self, subject: bytes) -> bool:
        node = self.nodes.get(subject)
        return subject in self._depths or (node is not None and node.creation is not None)

    def _create(self, subject: bytes, parent: bytes) -> None:
        require(not self._exists(subject), f"work node {subject.hex()} exists", CONFLICT)
        fresh = len(self._depths) + (subject not in self.nodes)
        require(len(self.nodes) + fresh <= WORK_NODES_MAX, f"{WORK_NODES_MAX} work nodes, no more", TOO_LARGE)
        self._depths[subject] = self._depth_below(subject, parent)

    def _depth_below(self, subject: bytes, parent: bytes) -> int:
        if not parent:
            return 0
        require(self._exists(parent), f"no work node {parent.hex()} to be the parent", NOT_FOUND)
        above = self._depths[parent] if parent in self._depths else self.tree.depth(parent)
        below = self.tree.height(subject, TREE_DEPTH_MAX)
        require(above + 1 + below < TREE_DEPTH_MAX, f"deeper than {TREE_DEPTH_MAX} levels", TOO_LARGE)
        return above + 1

    def _tombstone(self, subject: bytes) -> None:
        node = self.nodes.get(subject)
        ended = subject in self._tombstoned or (node is not None and node.tombstones)
        require(not ended, f"work node {subject.hex()} is tombstoned", CONFLICT)
        self._tombstoned[subject] = None

    def _field(self, subject: bytes, name: str) -> None:
        if subject not in self._fields:
            node = self.nodes.get(subject)
            self._fields[subject] = dict.fromkeys(sorted(node.fields()) if node else ())
        names = self._fields[subject]
        names[name] = None
        require(len(names) <= WORK_FIELDS_MAX, f"more than {WORK_FIELDS_MAX} fields", TOO_LARGE)

    def _count(self, entry: Entry) -> None:
        body = entry.body
        if isinstance(body, WorkSet):
            key = (entry.subject, body.field)
            node = self.nodes.get(entry.subject)
            present = node.registers.get(body.field, ()) if node else ()
            heads = registers.write(self._heads.get(key, present), entry)
            what = f"{body.field} has {WORK_HEADS_MAX} writes that replace none of each other: name them"
            require(len(heads) <= WORK_HEADS_MAX, what, CONFLICT)
            self._heads[key] = heads
        elif isinstance(body, WorkAdded | WorkRemoved):
            dots = self._dots_of(entry.subject, body.field)
            if isinstance(body, WorkAdded):
                require(len(dots) < WORK_SET_ITEMS_MAX, f"{body.field} has {WORK_SET_ITEMS_MAX} items", TOO_LARGE)
                dots[entry.id] = None
            else:
                for dep in entry.deps:
                    dots.pop(dep, None)

    def _dots_of(self, subject: bytes, name: str) -> dict[Id, None]:
        key = (subject, name)
        if key not in self._dots:
            node = self.nodes.get(subject)
            held = node.sets.get(name) if node else None
            items = held.items.values() if held else ()
            self._dots[key] = {dot: None for dots in items for dot in dots}
        return self._dots[key]
