"""The log's Merkle tree in the shape of RFC 6962, with BLAKE3, in tiles of 256 leaves.

Knows event ids in log order. Keeps every complete node at or above a tile's root, and the leaves of the last
`RECENT_TILES` tiles; a proof that needs an older tile names it (`missing`) and is given its events (`supply`).

Invariants: M1 `root_at(n)` never changes once n leaves are there. M2 a supplied tile is the one that was appended.
M3 memory is 32 bytes a node and a recent leaf: under 2 MB at a million events.
"""

from collections.abc import Sequence

from msgspec import Struct

from quorate.base.codec import pack, unpack
from quorate.base.errors import DATABASE, INVALID, NOT_FOUND, QuorateError, demand, invariant, require
from quorate.base.ids import HASH_BYTES, hash_id
from quorate.base.limits import RECENT_TILES, SUPPLIED_TILES, TILE_LEAVES, TREE_NODES_CACHED
from quorate.model.events import Id

TILE_LEVEL = TILE_LEAVES.bit_length() - 1
EMPTY_ROOT = hash_id(b"")
_LEAF, _NODE = b"\x00", b"\x01"  # a leaf never passes for a node


def leaf_hash(id: Id) -> Id:
    """The hash of a leaf (RFC 6962 section 2.1)."""
    return hash_id(_LEAF + id)


def node_hash(left: Id, right: Id) -> Id:
    """The hash of an inner node (RFC 6962 section 2.1)."""
    return hash_id(_NODE + left + right)


class _Snapshot(Struct, frozen=True, array_like=True):
    size: int
    tiles: bytes  # roots of the full tiles
    leaves: bytes  # of the open one


class Tree:
    """One log's tree. Sizes count leaves: position p of the log is the leaf at index p - 1."""

    __slots__ = ("_levels", "_low", "_nodes", "_recent", "_root", "_supplied", "size")

    def __init__(self) -> None:
        self.size = 0
        self._low: list[Id] = [
            b""
        ] * TILE_LEVEL  # complete nodes of the open tile: level l counts where bit l of size is 1
        self._levels: list[bytearray] = []  # complete nodes from TILE_LEVEL upwards, 32 bytes each
        self._recent: dict[int, bytearray] = {0: bytearray()}  # leaf hashes of a tile
        self._supplied: dict[int, bytearray] = {}  # the same, of older ones, first in first out
        self._nodes: dict[
            tuple[int, int], Id
        ] = {}  # complete nodes inside tiles that proofs asked for: they never change
        self._root: tuple[int, Id] = (0, EMPTY_ROOT)

    def append(self, id: Id) -> None:
        """Add the next event."""
        node = leaf_hash(id)
        size = self.size
        self._recent[size >> TILE_LEVEL] += node
        level = 0
        while level < TILE_LEVEL and size >> level & 1:
            node = node_hash(self._low[level], node)
            level += 1
        self.size = size + 1
        if level < TILE_LEVEL:
            self._low[level] = node
        else:
            self._close_tile(node)

    def root(self) -> Id:
        """The root at the present size."""
        if self._root[0] != self.size:
            self._root = (self.size, self._fold_peaks([*self._low_peaks(), *self._high_peaks(self.size)]))
        return self._root[1]

    def root_at(self, size: int) -> Id:
        """The root when there were `size` leaves. Raises 1000 when a tile is missing."""
        require(0 <= size <= self.size, f"no size {size} in a log of {self.size}")
        if size == self.size:
            return self.root()
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> tuple[Id, ...]:
        """The audit path of a leaf in the tree of `size` (RFC 6962 section 2.1.1). Raises 1000: a tile is missing."""
        require(0 <= index < size <= self.size, f"no leaf {index} at size {size} in a log of {self.size}")
        path: list[Id] = []
        low, high = 0, size
        while high - low > 1:
            middle = low + _split(high - low)
            if index < middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low = middle
        return tuple(reversed(path))

    def consistency(self, first: int, second: int) -> tuple[Id, ...]:
        """The proof that the tree of `second` extends that of `first` (RFC 6962 section 2.1.2). Raises 1000.

        Empty when either says nothing: first is 0, or both are the same."""
        require(0 <= first <= second <= self.size, f"no sizes {first}, {second} in a log of {self.size}")
        if first in (0, second):
            return ()
        proof: list[Id] = []
        low, high = 0, second
        whole = True  # is the part looked at a whole subtree of the first tree, whose root the verifier has?
        while first != high:
            middle = low + _split(high - low)
            if first <= middle:
                proof.append(self._range(middle, high))
                high = middle
            else:
                proof.append(self._range(low, middle))
                low, whole = middle, False
        if not whole:
            proof.append(self._range(low, high))
        return tuple(reversed(proof))

    def missing(self, *indexes_or_sizes: int) -> tuple[int, ...]:
        """Tiles that proofs about these leaves or sizes need and that are not in memory: `supply` them first."""
        tiles = {number >> TILE_LEVEL for number in indexes_or_sizes if 0 <= number < self.size}
        return tuple(sorted(tiles - self._recent.keys() - self._supplied.keys()))

    def supply(self, tile: int, leaves: Sequence[Id]) -> None:
        """Bring back the event ids of a full tile. Raises 2000 when they are not those that were appended."""
        require(0 <= tile < self.size >> TILE_LEVEL, f"no full tile {tile} in a log of {self.size}")
        hashes = bytearray().join(leaf_hash(id) for id in leaves)
        # A tile that fits its root can only be the one that was appended, whatever the disk says.
        if len(leaves) != TILE_LEAVES or _subtree(hashes, 0, TILE_LEAVES) != self._node(TILE_LEVEL, tile):
            raise QuorateError(DATABASE, f"the events of tile {tile} are not those that its tree was built from")
        self._supplied.pop(tile, None)
        self._supplied[tile] = hashes
        while len(self._supplied) > SUPPLIED_TILES:
            self._supplied.pop(next(iter(self._supplied)))

    def snapshot(self) -> bytes:
        """Everything that cannot be read again from the log a tile at a time."""
        tiles = self._levels[0] if self._levels else b""
        return pack(_Snapshot(self.size, bytes(tiles), bytes(self._recent[self.size >> TILE_LEVEL])))

    def restore(self, data: bytes) -> None:
        """Take over a snapshot's state. Raises `ProtocolError` 1002."""
        saved = unpack(data, _Snapshot)
        full = saved.size >> TILE_LEVEL
        demand(len(saved.tiles) == full * HASH_BYTES, "snapshot of a tree: tiles do not fit its size", INVALID)
        demand(len(saved.leaves) == saved.size % TILE_LEAVES * HASH_BYTES, "snapshot of a tree: leaves", INVALID)
        self._levels, self._supplied, self._nodes, self._root = [], {}, {}, (0, EMPTY_ROOT)
        for tile in range(full):
            self._raise_node(saved.tiles[tile * HASH_BYTES : (tile + 1) * HASH_BYTES])
        self.size = saved.size
        self._recent = {full: bytearray(saved.leaves)}
        for level in range(TILE_LEVEL):
            if saved.size >> level & 1:
                start = (saved.size >> level + 1 << level + 1) - (full << TILE_LEVEL)
                self._low[level] = _subtree(saved.leaves, start, 1 << level)

    def _close_tile(self, root: Id) -> None:
        self._raise_node(root)
        tile = self.size >> TILE_LEVEL
        self._recent[tile] = bytearray()
        self._recent.pop(tile - RECENT_TILES, None)

    def _raise_node(self, node: Id) -> None:
        """Add the root of the next full tile, and every node that it completes."""
        for nodes in self._levels:
            nodes += node
            if len(nodes) // HASH_BYTES % 2:
                return
            node = node_hash(bytes(nodes[-2 * HASH_BYTES : -HASH_BYTES]), node)
        self._levels.append(bytearray(node))

    def _low_peaks(self) -> list[Id]:
        return [self._low[level] for level in range(TILE_LEVEL) if self.size >> level & 1]

    def _high_peaks(self, size: int) -> list[Id]:
        levels = range(TILE_LEVEL, size.bit_length())
        return [self._node(level, (size >> level) - 1) for level in levels if size >> level & 1]

    def _fold_peaks(self, peaks: list[Id]) -> Id:
        """One root from the roots of the complete subtrees, smallest and rightmost first."""
        root = peaks[0] if peaks else EMPTY_ROOT
        for peak in peaks[1:]:
            root = node_hash(peak, root)
        return root

    def _range(self, low: int, high: int) -> Id:
        """The root over leaves low..high-1, where low is a multiple of the subtree they fill."""
        peaks: list[Id] = []
        while low < high:
            level = (high - low).bit_length() - 1
            peaks.append(self._node(level, low >> level))
            low += 1 << level
        return self._fold_peaks(peaks[::-1])

    def _node(self, level: int, index: int) -> Id:
        """A complete node: 2 ** level leaves, the index-th such."""
        if level >= TILE_LEVEL:
            nodes = self._levels[level - TILE_LEVEL]
            return bytes(nodes[index * HASH_BYTES : (index + 1) * HASH_BYTES])
        known = self._nodes.get((level, index))
        if known is not None:
            return known
        first = index << level
        tile = first >> TILE_LEVEL
        leaves = self._recent.get(tile, self._supplied.get(tile))
        if leaves is None:
            raise QuorateError(NOT_FOUND, f"tile {tile} is not in memory: supply its events first")
        if len(self._nodes) >= TREE_NODES_CACHED:
            self._nodes.clear()
        node = self._nodes[level, index] = _subtree(leaves, first % TILE_LEAVES, 1 << level)
        return node


def verify_inclusion(leaf_id: Id, index: int, size: int, path: Sequence[Id], root: Id) -> bool:
    """Is the event the leaf at `index` of the tree of `size` with this root? (RFC 9162 section 2.1.3.2)"""
    if not 0 <= index < size or not _are_hashes((leaf_id, root, *path)):
        return False
    node, last = leaf_hash(leaf_id), size - 1
    for sibling in path:
        if last == 0:
            return False
        if index & 1 or index == last:
            node = node_hash(sibling, node)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        index, last = index >> 1, last >> 1
    return last == 0 and node == root


def verify_consistency(first: int, root1: Id, second: int, root2: Id, proof: Sequence[Id]) -> bool:
    """Does the tree of `second` extend that of `first`? (RFC 9162 section 2.1.4.2) Every tree extends the empty one."""
    if not 0 <= first <= second or not _are_hashes((root1, root2, *proof)):
        return False
    if first in (0, second):
        return not proof and root1 == (root2 if first == second else EMPTY_ROOT)
    steps = list(proof)
    if first & (first - 1) == 0:  # a whole subtree of the second tree: its root is the proof's first step
        steps.insert(0, root1)
    if not steps:
        return False
    index, last = first - 1, second - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            new = node_hash(new, step)
        index, last = index >> 1, last >> 1
    return last == 0 and old == root1 and new == root2


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def _subtree(leaves: bytes | bytearray, first: int, count: int) -> Id:
    """The root over `count` leaf hashes, a power of two."""
    invariant((first + count) * HASH_BYTES <= len(leaves), "a complete subtree has all its leaves")
    nodes = [bytes(leaves[at * HASH_BYTES : (at + 1) * HASH_BYTES]) for at in range(first, first + count)]
    while len(nodes) > 1:
        nodes = [node_hash(nodes[at], nodes[at + 1]) for at in range(0, len(nodes), 2)]
    return nodes[0]


def _are_hashes(ids: Sequence[Id]) -> bool:
    """32 bytes each: otherwise a boundary could be moved between two neighbours."""
    return all(len(id) == HASH_BYTES for id in ids)
