"""Observed-remove sets: an item is in while one of its dots lives; a dot is the id of the event that added it.

A remove ends exactly the dots that it names: whoever adds at the same time wins. Only live dots are kept,
never tombstones of dead ones: a remove waits elsewhere until its dots are there.
Laws: S1 `fold` depends on the sets of adds and removes alone. S2 `add` and `remove` equal `fold` when a
remove comes after its dots. S3 an item without a dot is not kept.
"""

from collections.abc import Iterable

from quorate.model.bodies import WorkAdded, WorkRemoved
from quorate.model.events import Id
from quorate.work.entries import Entry


class DotSet:
    """The live dots of one field, by item; the dots of an item are sorted."""

    __slots__ = ("items", "size")

    def __init__(self) -> None:
        self.items: dict[str, tuple[Id, ...]] = {}
        self.size = 0

    def add(self, item: str, dot: Id) -> None:
        """`item` is in, by one more dot."""
        self.items[item] = tuple(sorted((*self.items.get(item, ()), dot)))
        self.size += 1

    def remove(self, item: str, dots: tuple[Id, ...]) -> tuple[Id, ...]:
        """End those of `dots` that are dots of `item`; returns them."""
        before = self.items.get(item, ())
        left = tuple(dot for dot in before if dot not in dots)
        if left:
            self.items[item] = left
        else:
            self.items.pop(item, None)
        self.size -= len(before) - len(left)
        return tuple(dot for dot in before if dot in dots)


def fold(entries: Iterable[Entry]) -> DotSet:
    """The set that adds and removes of one field make, in any order."""
    known = list(entries)
    ended = {(entry.body.item, dot) for entry in known if isinstance(entry.body, WorkRemoved) for dot in entry.deps}
    result = DotSet()
    for entry in known:
        if isinstance(entry.body, WorkAdded) and (entry.body.item, entry.id) not in ended:
            result.add(entry.body.item, entry.id)
    return result
