"""The tree of work nodes: moves in receipt order, and a provisional tail that is undone and redone.

After Kleppmann et al., "A highly-available move operation for replicated trees" (2021), with the receipts'
order in place of clocks: the order of what is receipted is final, so only the tail behind it ever changes.
Invariants: T1 `parents` is what the log does, in order, to what it began with. T2 no node is its own
ancestor: a move that would make a circle does nothing. T3 what is before `horizon` is not undone.
Law: the parents depend on the set of moves and their order keys alone, not on the order they came in.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable

from quorate.base.errors import invariant
from quorate.model.bodies import WorkCreated, WorkMoved
from quorate.work.entries import Entry, Order, order_of


class Move:
    """A move in the log, and what undoes it. `before` None: the node had no place yet."""

    __slots__ = ("before", "creating", "done", "order", "parent", "subject")

    def __init__(self, order: Order, subject: bytes, parent: bytes, creating: bool) -> None:
        self.order = order
        self.subject = subject
        self.parent = parent
        self.creating = creating
        self.done = False
        self.before: bytes | None = None


def move_of(entry: Entry) -> Move:
    """The move in a creation or a move. A creation gives a place only to a node that has none."""
    body = entry.body
    invariant(isinstance(body, WorkCreated | WorkMoved), "only creations and moves place a node")
    assert isinstance(body, WorkCreated | WorkMoved)
    return Move(order_of(entry), entry.subject, body.parent, isinstance(body, WorkCreated))


def _key(move: Move) -> Order:
    return move.order


class Tree:
    """Who is whose child."""

    __slots__ = ("children", "horizon", "log", "parents")

    def __init__(self, parents: Iterable[tuple[bytes, bytes]] = (), horizon: int = 0) -> None:
        self.parents: dict[bytes, bytes] = {}
        self.children: dict[bytes, dict[bytes, None]] = {}
        self.log: list[Move] = []
        self.horizon = horizon
        for subject, parent in parents:
            self._place(subject, parent)

    def insert(self, entry: Entry) -> tuple[bytes, ...]:
        """Put a move where it belongs in the order; the nodes whose place it may have changed."""
        move = move_of(entry)
        if not self.log or self.log[-1].order < move.order:
            self.log.append(move)
            self._do(move)
            return (move.subject,)
        return self._redo([move, *self._undo(bisect_left(self.log, move.order, key=_key))])

    def remove(self, orders: Collection[Order]) -> tuple[bytes, ...]:
        """Take moves out, as if they had never been; the nodes whose place it may have changed."""
        if not orders:
            return ()
        tail = self._undo(bisect_left(self.log, min(orders), key=_key))
        self._redo([move for move in tail if move.order not in orders])
        return tuple(move.subject for move in tail)

    def absorb(self, position: int) -> None:
        """Let go of the moves up to `position`: they can no longer be undone."""
        self.horizon = max(self.horizon, position)
        del self.log[: bisect_left(self.log, (0, position + 1, b""), key=_key)]

    def base(self) -> list[tuple[bytes, bytes]]:
        """The parents before the first move of the log, sorted: with the log they make the whole state."""
        parents = dict(self.parents)
        for move in reversed(self.log):
            if move.done and move.before is None:
                del parents[move.subject]
            elif move.done and move.before is not None:
                parents[move.subject] = move.before
        return sorted(parents.items())

    def circles(self, subject: bytes, parent: bytes) -> bool:
        """Would `subject` below `parent` be its own ancestor?"""
        at = parent
        while at:
            if at == subject:
                return True
            at = self.parents.get(at, b"")
        return False

    def depth(self, subject: bytes) -> int:
        """How many nodes are above `subject`."""
        count = 0
        while subject := self.parents.get(subject, b""):
            count += 1
        return count

    def height(self, subject: bytes, limit: int) -> int:
        """How many levels are below `subject`, counted up to `limit`."""
        level, count = [subject], -1
        while level and count < limit:
            level = [child for node in level for child in self.children.get(node, ())]
            count += 1
        return count

    def _undo(self, start: int) -> list[Move]:
        """Cut the log at `start`, with what it did undone."""
        tail = self.log[start:]
        del self.log[start:]
        for move in reversed(tail):
            if move.done:
                self._place(move.subject, move.before)
        return tail

    def _redo(self, tail: list[Move]) -> tuple[bytes, ...]:
        for move in tail:
            self.log.append(move)
            self._do(move)
        return tuple(move.subject for move in tail)

    def _do(self, move: Move) -> None:
        before = self.parents.get(move.subject)
        placed = move.creating and before is not None
        move.done = not placed and not self.circles(move.subject, move.parent)
        move.before = before
        if move.done:
            self._place(move.subject, move.parent)

    def _place(self, subject: bytes, parent: bytes | None) -> None:
        before = self.parents.pop(subject, None)
        if before is not None:
            siblings = self.children[before]
            del siblings[subject]
            if not siblings:
                del self.children[before]
        if parent is not None:
            self.parents[subject] = parent
            self.children.setdefault(parent, {})[subject] = None
