"""Multi-value registers: every write that no other write replaces is kept; one of them is shown.

A write that names another in `deps` replaces it, whatever their clocks say; (hlc, id) orders only what is
concurrent, so a clock that lies wins nothing against those who saw it.
Laws: R1 `fold` depends on the set of writes alone. R2 `write` equals `fold` when what a write names came
before it. R3 a head is named by no write.
"""

from collections.abc import Iterable

from quorate.model.events import Id
from quorate.work.entries import Entry

Heads = tuple[Entry, ...]
"""Newest first by (hlc, id): the first is the value."""


def _newest(entry: Entry) -> tuple[int, Id]:
    return (entry.hlc, entry.id)


def write(heads: Heads, entry: Entry) -> Heads:
    """The heads after one more write."""
    left = tuple(head for head in heads if head.id not in entry.deps)
    return tuple(sorted((*left, entry), key=_newest, reverse=True)) if left else (entry,)


def fold(writes: Iterable[Entry]) -> Heads:
    """The heads of a set of writes, in any order."""
    known = list(writes)
    named = {dep for entry in known for dep in entry.deps}
    return tuple(sorted((entry for entry in known if entry.id not in named), key=_newest, reverse=True))
