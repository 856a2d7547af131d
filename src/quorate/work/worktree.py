"""Work nodes, folded from events: what a replica and the coordinator hold of the tree of work.

Knows events, ids and positions; no signatures, grants or clocks: whoever calls has judged those. The state
depends on the set of events, their positions and what was retracted, never on the order or the number of
deliveries. What names an event that has not come waits for it. Of an event without a position (no receipt
yet) the effect is provisional: its moves are undone and redone as receipts come in.

Memory: live entries are bounded per node (fields, heads, dots) and nodes by `WORK_NODES_MAX`, judged by the
authority (`check`); spent entries by `keep` once `settle` is called; what waits by `PARKED_EVENTS_MAX`; what
has no receipt by `WORK_PROVISIONAL_MAX`. A caller that never settles keeps every event.
Invariants: W1 every entry is in the node of its subject, and if it places a node, in the tree. W2 no event is
applied before all it names is known, or let go of. W3 a void event does nothing.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from msgspec import Struct

from quorate.base.codec import pack, unpack
from quorate.base.errors import (
    CONFLICT,
    NOT_FOUND,
    RATE_LIMITED,
    UNSUPPORTED,
    QuorateError,
    demand,
    require,
)
from quorate.base.ids import hash_id
from quorate.base.limits import PAGE_DEFAULT, PAGE_MAX, WORK_HISTORY_MAX, WORK_PROVISIONAL_MAX
from quorate.model.bodies import WorkCreated, WorkMoved
from quorate.model.effects import Project
from quorate.model.events import Event, Id
from quorate.work import drafting, snapshot
from quorate.work.admission import Admission
from quorate.work.counters import Counter
from quorate.work.drafting import DraftOf
from quorate.work.entries import Entry, entry_of, order_of
from quorate.work.history import History, HistoryGone
from quorate.work.index import ALL, Facet, Index
from quorate.work.nodes import Node
from quorate.work.park import Park
from quorate.work.projection import WorkNode, created_ms, facets, row, view
from quorate.work.tree import Tree

TABLE = "work"


class WorkTree:
    """All work nodes of a realm."""

    __slots__ = ("_changed", "_history", "_index", "_nodes", "_park", "_provisional", "_tree", "_unindexed")

    def __init__(self, keep: int = WORK_HISTORY_MAX) -> None:
        self._begin(keep)

    def _begin(self, keep: int) -> None:
        self._history = History(keep)
        self._nodes: dict[bytes, Node] = {}
        self._tree = Tree()
        self._park = Park()
        self._provisional = 0
        self._index = Index()
        self._unindexed: dict[bytes, None] = {}
        self._changed: dict[bytes, None] = {}

    def apply(self, id: Id, event: Event, body: Struct, position: int | None) -> None:
        """Fold one event; `position` None: it has no receipt yet. Idempotent.

        Raises `ProtocolError` 1002 or 1007 for an event that no replica folds, 1006 for one that comes after
        its log was settled; `QuorateError` 1004 when too many wait or are provisional: try again later.
        """
        entry = entry_of(id, event, body, position)
        if self._known(entry) or self._history.gone(entry):
            return
        missing = () if self._complete(entry) else self._missing(entry.deps)
        if entry.position is None:
            full = self._provisional >= WORK_PROVISIONAL_MAX
            require(not full, f"{WORK_PROVISIONAL_MAX} events have no receipt yet", RATE_LIMITED)
        if missing:
            self._park.add(entry, missing)
        self._provisional += entry.position is None
        if not missing:
            self._fold_all([entry])

    def confirm(self, id: Id, position: int) -> None:
        """The receipt of a provisional event. Idempotent. Raises 1000 if the event never came."""
        held = self._history.entries.get(id) or self._history.void.get(id) or self._park.entries.get(id)
        if held is None:
            raise QuorateError(NOT_FOUND, f"no event {id.hex()} to confirm")
        if held.position is not None:
            demand(held.position == position, f"event {id.hex()} at {held.position} and at {position}", CONFLICT)
            return
        demand(position > self._history.settled, f"position {position} after it was settled", CONFLICT)
        entry = held.at(position)
        if id in self._history.void:
            self._history.void[id] = entry
            return
        self._provisional -= 1
        if id in self._park.entries:
            self._park.replace(entry)
            if self._complete(entry):
                self._fold_all([self._park.drop(id)])
            return
        self._history.entries[id] = entry
        self._nodes[entry.subject].confirm(entry)
        self._touch((entry.subject,))
        if isinstance(entry.body, WorkCreated | WorkMoved):
            self._touch(self._tree.remove((order_of(held),)))
            self._touch(self._tree.insert(entry))

    def retract(self, ids: Collection[Id]) -> None:
        """Make events void: the state is as if they had never been, now and if they come later.

        Those that name them go on without them. All or none: raises `HistoryGone` if memory does not reach
        back far enough; then a new tree that retracts the same ids first folds the log again.
        """
        wanted = sorted(set(ids))
        entries = [self._history.entries[id] for id in wanted if id in self._history.entries]
        for entry in entries:
            self._history.check_undo(entry, self._tree.horizon)
        for id in wanted:
            if not self._history.known(id) and id not in self._park.entries and self._history.frontier:
                raise HistoryGone(f"event {id.hex()} is not in memory, or no longer")
        placed = {order_of(entry) for entry in entries if isinstance(entry.body, WorkCreated | WorkMoved)}
        self._touch(self._tree.remove(placed))
        for id in wanted:
            self._withdraw(id)
        self._refold({entry.subject: None for entry in entries})
        for id in wanted:
            self._fold_all(self._park.arrived(id))

    def settle(self, position: int) -> None:
        """Say that every event up to `position` was applied here: what is spent may be let go of."""
        if position <= 0:
            return
        # The deps of an event are in the log before it, so with the log applied nothing is left to wait for.
        for entry in self._park.settled(position):
            self._fold_all([entry])
        dropped, last = self._history.settle(position)
        for entry in dropped:
            self._nodes[entry.subject].let_go(entry)
        self._tree.absorb(last)

    def check(self, events: Sequence[tuple[Id, Event, Struct]]) -> None:
        """Judge events before the authority receipts them in this order; raises for the first that may not."""
        room = self._room()
        for id, event, body in events:
            room.judge(entry_of(id, event, body, None))

    def missing(self, event: Event) -> tuple[Id, ...]:
        """The ids that `event` names and that are not here: to be asked for."""
        return self._missing(event.deps)

    def node(self, subject: bytes) -> WorkNode | None:
        """The node as it stands, tombstoned or not; None if it was never created."""
        node = self._nodes.get(subject)
        return None if node is None else view(node, self._tree.parents.get(subject, b""))

    def find(
        self,
        kind: str = "",
        parent: bytes = b"",
        state: str = "",
        assignee: str = "",
        tag: str = "",
        limit: int = PAGE_DEFAULT,
        before: bytes = b"",
    ) -> list[WorkNode]:
        """Live nodes that have all that is asked for, newest first; `before`: after that node of the last page."""
        given = (("kind", kind), ("parent", parent), ("state", state), ("assignee", assignee), ("tag", tag))
        return self._select(tuple(facet for facet in given if facet[1]) or (ALL,), limit, before)

    def children(self, parent: bytes, limit: int = PAGE_DEFAULT, before: bytes = b"") -> list[WorkNode]:
        """Live nodes right below `parent` (empty: the roots), newest first."""
        return self._select((("parent", parent),), limit, before)

    def draft_create(self, subject: bytes, kind: str, title: str, parent: bytes = b"") -> list[DraftOf]:
        return drafting.create(self._room(), subject, kind, title, parent)

    def draft_set(self, subject: bytes, field: str, value_json: Any) -> list[DraftOf]:
        return drafting.write(self._room(), subject, field, value_json)

    def draft_add(self, subject: bytes, field: str, item: str) -> list[DraftOf]:
        return drafting.add(self._room(), subject, field, item)

    def draft_remove(self, subject: bytes, field: str, item: str) -> list[DraftOf]:
        return drafting.remove(self._room(), subject, field, item)

    def draft_count(self, subject: bytes, field: str, by: int) -> list[DraftOf]:
        return drafting.count(self._room(), subject, field, by)

    def draft_move(self, subject: bytes, parent: bytes) -> list[DraftOf]:
        return drafting.move(self._room(), subject, parent)

    def draft_tombstone(self, subject: bytes, reason: str = "") -> list[DraftOf]:
        return drafting.tombstone(self._room(), subject, reason)

    def rows(self) -> tuple[Project, ...]:
        """The rows of table `work` that changed since the last call; None for what is no longer shown."""
        projects = []
        for subject in sorted(self._changed):
            node = self._nodes.get(subject)
            seen = self.node(subject) if node is not None and node.live else None
            projects.append(Project(TABLE, subject, None if seen is None else row(seen)))
        self._changed.clear()
        return tuple(projects)

    def digest(self) -> Id:
        """A hash of all that counts from now on, whatever history is kept: equal on replicas that converged."""
        return hash_id(pack([self._summary(node) for _, node in sorted(self._nodes.items())]))

    def snapshot(self) -> bytes:
        """Everything, as bytes: equal for equal events, positions, retractions and settling. Drain `rows` before."""
        history = self._history
        bases = []
        for subject, node in sorted(self._nodes.items()):
            sums = tuple((name, c.settled) for name, c in sorted(node.counters.items()) if c.trimmed)
            if node.settled_hlc or sums:
                bases.append(snapshot.Settled(subject, node.settled_hlc, sums))
        whole = snapshot.Snapshot(
            version=snapshot.VERSION,
            settled=history.settled,
            horizon=self._tree.horizon,
            entries=tuple(snapshot.kept(entry) for _, entry in sorted(history.entries.items())),
            parked=tuple(snapshot.kept(entry) for _, entry in sorted(self._park.entries.items())),
            void=tuple(
                (id, snapshot.kept(e) if e else None) for id, e in sorted(history.void.items(), key=lambda kv: kv[0])
            ),
            frontier=tuple(sorted(history.frontier.items())),
            bases=tuple(bases),
            parents=tuple(self._tree.base()),
        )
        return pack(whole)

    def restore(self, data: bytes) -> None:
        """Take over a snapshot in place of what is here."""
        whole = unpack(data, snapshot.Snapshot)
        demand(whole.version == snapshot.VERSION, f"work snapshot of version {whole.version}", UNSUPPORTED)
        self._begin(self._history.keep)
        history = self._history
        history.settled, history.frontier = whole.settled, dict(whole.frontier)
        for base in whole.bases:
            node = self._node(base.subject)
            node.settled_hlc = base.hlc
            node.counters = {name: Counter(total, True) for name, total in base.counters}
        history.entries = {kept.id: snapshot.entry(kept) for kept in whole.entries}
        for id, kept in whole.void:
            history.withdraw(id, None if kept is None else snapshot.entry(kept))
        self._tree = Tree(whole.parents, whole.horizon)
        entries = list(history.entries.values())
        for entry in sorted((e for e in entries if isinstance(e.body, WorkCreated | WorkMoved)), key=order_of):
            if (entry.position or whole.horizon + 1) > whole.horizon:
                self._tree.insert(entry)
        self._refold(dict.fromkeys([*(entry.subject for entry in entries), *(b.subject for b in whole.bases)]))
        for kept in whole.parked:
            entry = snapshot.entry(kept)
            self._park.add(entry, self._missing(entry.deps))
        held = (*entries, *self._park.entries.values())
        self._provisional = sum(entry.position is None for entry in held)
        self._changed.clear()
        self.settle(whole.settled)

    def _known(self, entry: Entry) -> bool:
        """Has this event come before? What is new about it (its position) is taken note of."""
        id = entry.id
        if id in self._history.void:
            if self._history.void[id] is None:
                self._history.withdraw(id, entry)
        elif id not in self._history.entries and id not in self._park.entries:
            return False
        if entry.position is not None:
            self.confirm(id, entry.position)
        return True

    def _missing(self, deps: tuple[Id, ...]) -> tuple[Id, ...]:
        return tuple(dep for dep in deps if not self._history.known(dep))

    def _complete(self, entry: Entry) -> bool:
        """Was the log applied up to right before this event? Then all it names is here, or was let go of."""
        return entry.position is not None and 0 < self._history.settled >= entry.position - 1

    def _fold_all(self, entries: Iterable[Entry]) -> None:
        """Fold these and, one after the other, all that waited for them."""
        pending = list(entries)
        while pending:
            entry = pending.pop()
            self._history.entries[entry.id] = entry
            self._history.spend(self._node(entry.subject).apply(entry))
            if isinstance(entry.body, WorkCreated | WorkMoved):
                self._touch(self._tree.insert(entry))
            else:
                self._touch((entry.subject,))
            pending.extend(self._park.arrived(entry.id))

    def _withdraw(self, id: Id) -> None:
        history = self._history
        entry = history.entries.get(id)
        if id in self._park.entries:
            entry = self._park.drop(id)
        if id in history.void:
            return
        self._provisional -= entry is not None and entry.position is None
        history.withdraw(id, entry)

    def _refold(self, subjects: dict[bytes, None]) -> None:
        """Fold nodes again from what is retained of them."""
        entries: dict[bytes, list[Entry]] = {subject: [] for subject in subjects}
        for entry in self._history.entries.values():
            if entry.subject in entries:
                entries[entry.subject].append(entry)
        for subject, known in entries.items():
            node = self._node(subject)
            self._history.mark((entry.id for entry in known), node.refold(known))
            if node.empty() and not known:
                del self._nodes[subject]
        self._touch(subjects)

    def _node(self, subject: bytes) -> Node:
        node = self._nodes.get(subject)
        if node is None:
            node = self._nodes[subject] = Node(subject)
        return node

    def _touch(self, subjects: Iterable[bytes]) -> None:
        for subject in subjects:
            self._changed[subject] = None
            self._unindexed[subject] = None

    def _room(self) -> Admission:
        return Admission(self._nodes, self._tree, self._history)

    def _select(self, wanted: tuple[Facet, ...], limit: int, before: bytes) -> list[WorkNode]:
        require(0 < limit <= PAGE_MAX, f"limit is 1 to {PAGE_MAX}")
        self._reindex()
        key = None
        if before:
            node = self._nodes.get(before)
            if node is None or node.creation is None:
                raise QuorateError(NOT_FOUND, f"no work node {before.hex()}")
            key = (created_ms(node), before)
        found = (self.node(subject) for subject in self._index.select(wanted, limit, key))
        return [seen for seen in found if seen is not None]

    def _reindex(self) -> None:
        for subject in self._unindexed:
            node = self._nodes.get(subject)
            if node is not None and node.live:
                parent = self._tree.parents.get(subject, b"")
                self._index.put(subject, created_ms(node), facets(node, parent))
            else:
                self._index.drop(subject)
        self._unindexed.clear()

    def _summary(self, node: Node) -> object:
        registers = [(f, [(h.id, h.hlc) for h in heads]) for f, heads in sorted(node.registers.items())]
        sets = [(field, sorted(dots.items.items())) for field, dots in sorted(node.sets.items())]
        counters = [(field, counter.total) for field, counter in sorted(node.counters.items())]
        creations = [entry.id for entry in node.creations]
        place = self._tree.parents.get(node.subject)
        return (node.subject, creations, node.tombstones, place, registers, sets, counters, node.updated)
