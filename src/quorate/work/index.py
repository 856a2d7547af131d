"""Which nodes have which property, newest first: a query reads the shortest list that fits it.

Knows keys and properties only; what they mean is the projection's business.
Invariant: I1 every list is sorted by (order, subject); a subject is in the lists of its facets and in no other.
"""

from bisect import bisect_left, insort

Facet = tuple[str, str | bytes]
Key = tuple[int, bytes]

ALL: Facet = ("all", "")


class Index:
    """Subjects by facet."""

    __slots__ = ("_known", "_lists")

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[Key, dict[Facet, None]]] = {}
        self._lists: dict[Facet, list[Key]] = {}

    def put(self, subject: bytes, order: int, facets: tuple[Facet, ...]) -> None:
        """`subject` has exactly these facets."""
        key, after = (order, subject), dict.fromkeys(facets)
        held = self._known.get(subject)
        if held is not None and held[0] != key:
            self.drop(subject)
            held = None
        before: dict[Facet, None] = held[1] if held else {}
        for facet in before:
            if facet not in after:
                self._cut(facet, key)
        for facet in after:
            if facet not in before:
                insort(self._lists.setdefault(facet, []), key)
        self._known[subject] = (key, after)

    def drop(self, subject: bytes) -> None:
        """`subject` is found no more."""
        held = self._known.pop(subject, None)
        if held is not None:
            for facet in held[1]:
                self._cut(facet, held[0])

    def select(self, wanted: tuple[Facet, ...], limit: int, before: Key | None) -> list[bytes]:
        """Subjects with all `wanted` facets, newest first, older than `before`."""
        lists = [self._lists.get(facet, []) for facet in wanted]
        shortest = min(lists, key=len)
        at = len(shortest) if before is None else bisect_left(shortest, before)
        found: list[bytes] = []
        while at > 0 and len(found) < limit:
            at -= 1
            subject = shortest[at][1]
            has = self._known[subject][1]
            if all(facet in has for facet in wanted):
                found.append(subject)
        return found

    def _cut(self, facet: Facet, key: Key) -> None:
        keys = self._lists[facet]
        del keys[bisect_left(keys, key)]
        if not keys:
            del self._lists[facet]
