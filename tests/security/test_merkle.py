"""The log's tree against the recursive definition of RFC 6962, over tiles' borders, with tiles gone from memory."""

import sys
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.base.dice import Dice
from quorate.base.errors import ProtocolError, QuorateError
from quorate.base.ids import hash_id
from quorate.base.limits import RECENT_TILES, SUPPLIED_TILES, TILE_LEAVES
from quorate.security import EMPTY_ROOT, Tree, verify_consistency, verify_inclusion


def leaf(index: int) -> bytes:
    return hash_id(b"%d" % index)


@cache
def naive(low: int, high: int) -> bytes:
    if high == low:
        return hash_id(b"")
    if high - low == 1:
        return hash_id(b"\x00" + leaf(low))
    k = 1
    while k * 2 < high - low:
        k *= 2
    return hash_id(b"\x01" + naive(low, low + k) + naive(low + k, high))


def naive_path(index: int, low: int, high: int) -> list[bytes]:
    if high - low == 1:
        return []
    k = 1
    while k * 2 < high - low:
        k *= 2
    if index < low + k:
        return [*naive_path(index, low, low + k), naive(low + k, high)]
    return [*naive_path(index, low + k, high), naive(low, low + k)]


def naive_proof(first: int, low: int, high: int, whole: bool) -> list[bytes]:
    if first == high:
        return [] if whole else [naive(low, high)]
    k = 1
    while k * 2 < high - low:
        k *= 2
    if first <= low + k:
        return [*naive_proof(first, low, low + k, whole), naive(low + k, high)]
    return [*naive_proof(first, low + k, high, False), naive(low, low + k)]


def grown(size: int) -> Tree:
    tree = Tree()
    for index in range(size):
        tree.append(leaf(index))
    return tree


@pytest.fixture(scope="module")
def tree() -> Tree:
    return grown(600)


def test_the_root_is_the_definitions_at_every_size(tree: Tree) -> None:
    growing = Tree()
    assert growing.root() == EMPTY_ROOT == naive(0, 0)
    for size in range(601):
        assert growing.root() == tree.root_at(size) == naive(0, size)
        growing.append(leaf(size))


def test_paths_are_the_definitions(tree: Tree) -> None:
    dice = Dice(1)
    for size in range(1, 601):
        for index in {0, size - 1, dice.randrange(size), dice.randrange(size)}:
            path = tree.inclusion(index, size)
            assert list(path) == naive_path(index, 0, size)
            assert verify_inclusion(leaf(index), index, size, path, naive(0, size))


def test_consistency_proofs_are_the_definitions(tree: Tree) -> None:
    dice = Dice(2)
    for second in range(1, 601):
        for first in {1, second, dice.randint(1, second), dice.randint(1, second)}:
            proof = tree.consistency(first, second)
            assert list(proof) == naive_proof(first, 0, second, True)
            assert verify_consistency(first, naive(0, first), second, naive(0, second), proof)
    assert tree.consistency(0, 600) == ()
    assert verify_consistency(0, EMPTY_ROOT, 600, naive(0, 600), ())


def test_every_proof_of_every_small_tree_proves_nothing_else(tree: Tree) -> None:
    for size in range(1, 18):
        root = naive(0, size)
        for index in range(size):
            path = tree.inclusion(index, size)
            for other in range(-1, size + 2):
                assert verify_inclusion(leaf(other), index, size, path, root) is (other == index)
                assert verify_inclusion(leaf(index), other, size, path, root) is (other == index)
            assert not verify_inclusion(leaf(index), index, size, (*path, leaf(0)), root)
            assert not verify_inclusion(leaf(index), index, size, path, leaf(0))
            if path:
                assert not verify_inclusion(leaf(index), index, size, path[:-1], root)
                assert not verify_inclusion(leaf(index), index, size, path[1:], root)
        for first in range(1, size + 1):
            proof = tree.consistency(first, size)
            for at in range(len(proof)):
                broken = (*proof[:at], leaf(9999), *proof[at + 1 :])
                assert not verify_consistency(first, naive(0, first), size, root, broken)
            assert not verify_consistency(first, leaf(0), size, root, proof)
            assert not verify_consistency(first, naive(0, first), size, leaf(0), proof)
            assert not verify_consistency(first, naive(0, first), size, root, (*proof, leaf(0)))
            assert not proof or not verify_consistency(first, naive(0, first), size, root, proof[:-1])
            assert first == size or not verify_consistency(size, root, first, naive(0, first), proof)


@given(st.integers(1, 600), st.integers(0, 10**6), st.integers(0, 10**6))
@settings(derandomize=True, deadline=None, max_examples=150)
def test_a_bit_changed_in_a_proof_is_noticed(size: int, which: int, bit: int) -> None:
    tree, first = _tree600(), 1 + which % size
    index = which % size

    def flipped(proof: tuple[bytes, ...]) -> tuple[bytes, ...]:
        at = bit % len(proof)
        raw = bytearray(proof[at])
        raw[bit % 32] ^= 1 << bit % 8
        return (*proof[:at], bytes(raw), *proof[at + 1 :])

    path, proof = tree.inclusion(index, size), tree.consistency(first, size)
    if path:
        assert not verify_inclusion(leaf(index), index, size, flipped(path), naive(0, size))
    if proof:
        assert not verify_consistency(first, naive(0, first), size, naive(0, size), flipped(proof))


@cache
def _tree600() -> Tree:
    return grown(600)


def test_hashes_of_another_length_are_no_hashes() -> None:
    assert verify_inclusion(leaf(0), 0, 1, (), naive(0, 1))
    assert not verify_inclusion(b"short", 0, 1, (), hash_id(b"\x00short"))
    assert verify_consistency(1, leaf(0), 1, leaf(0), ())
    assert not verify_consistency(1, b"short", 1, b"short", ())


def test_a_proof_for_one_size_proves_no_larger_one(tree: Tree) -> None:
    for first in range(1, 20):
        for second in range(first + 1, 21):
            proof = tree.consistency(first, second)
            assert not verify_consistency(first, naive(0, first), 4 * second, naive(0, second), proof)


def test_no_trees_prove_nothing() -> None:
    assert not verify_inclusion(leaf(0), 0, 0, (), EMPTY_ROOT)
    assert not verify_consistency(-1, EMPTY_ROOT, 3, naive(0, 3), ())
    assert not verify_consistency(0, naive(0, 1), 3, naive(0, 3), ())
    assert not verify_consistency(0, EMPTY_ROOT, 3, naive(0, 3), (leaf(0),))
    assert not verify_consistency(2, naive(0, 2), 2, naive(0, 3), ())
    assert not verify_consistency(3, naive(0, 3), 4, naive(0, 4), ())


@pytest.mark.parametrize("bad", [(-1, 5), (5, 5), (0, 601)])
def test_leaves_and_sizes_that_are_not_there_are_refused(tree: Tree, bad: tuple[int, int]) -> None:
    with pytest.raises(QuorateError):
        tree.inclusion(*bad)
    with pytest.raises(QuorateError):
        tree.consistency(6, 5)
    with pytest.raises(QuorateError):
        tree.root_at(601)


OLD = TILE_LEAVES * (RECENT_TILES + 20) + 77


@pytest.fixture(scope="module")
def old() -> Tree:
    return grown(OLD)


def test_an_old_tile_is_named_supplied_and_used(old: Tree) -> None:
    dice = Dice(3)
    rounds = [(dice.randrange(OLD), dice.randrange(OLD)) for _ in range(40)]
    rounds += [(300, 512), (512, 513), (255, 256), (256, 4096), (0, OLD), (OLD - 1, OLD)]
    for index, size in rounds:
        index, size = min(index, size - 1), max(size, 1)
        index = max(index, 0)
        for tile in old.missing(index, size):
            old.supply(tile, [leaf(i) for i in range(tile * TILE_LEAVES, (tile + 1) * TILE_LEAVES)])
        assert old.missing(index, size) == ()
        root = old.root_at(size)
        assert root == naive(0, size)
        assert verify_inclusion(leaf(index), index, size, old.inclusion(index, size), root)
        for tile in old.missing(index, size, OLD):
            old.supply(tile, [leaf(i) for i in range(tile * TILE_LEAVES, (tile + 1) * TILE_LEAVES)])
        proof = old.consistency(size, OLD)
        assert verify_consistency(size, root, OLD, naive(0, OLD), proof)


def test_a_tile_in_memory_is_not_missing_and_a_missing_one_says_so() -> None:
    tree = grown(TILE_LEAVES * (RECENT_TILES + 1) + 1)
    assert tree.missing(0) == (0,)
    assert tree.missing(255, 3) == (0,)
    assert tree.missing(2 * TILE_LEAVES, tree.size, tree.size - 1) == ()
    with pytest.raises(QuorateError, match="tile 0") as caught:
        tree.inclusion(5, tree.size)
    assert caught.value.code == 1000


def test_a_tile_that_was_not_appended_is_refused_and_few_are_held(old: Tree) -> None:
    leaves = [leaf(i) for i in range(TILE_LEAVES)]
    for bad in (leaves[:-1], [*leaves[:-1], leaf(999)], [leaves[1], leaves[0], *leaves[2:]], [], [*leaves, leaf(1)]):
        with pytest.raises(QuorateError) as caught:
            old.supply(0, bad)
        assert caught.value.code == 2000
    for tile in range(20):
        old.supply(tile, [leaf(i) for i in range(tile * TILE_LEAVES, (tile + 1) * TILE_LEAVES)])
    assert len(old._supplied) == SUPPLIED_TILES
    assert old.missing(0, 19 * TILE_LEAVES) == (0,)
    for tile in (-1, OLD // TILE_LEAVES, 10**6):
        with pytest.raises(QuorateError):
            old.supply(tile, leaves)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600, TILE_LEAVES * 70 + 131])
def test_a_snapshot_goes_on_where_the_tree_was(size: int) -> None:
    tree, other = grown(size), Tree()
    data = tree.snapshot()
    other.restore(data)
    assert other.snapshot() == data
    assert other.root() == tree.root() == naive(0, size)
    for index in range(size, size + 300):
        tree.append(leaf(index))
        other.append(leaf(index))
        assert other.root() == tree.root()
    assert other.snapshot() == tree.snapshot()
    for tile in other.missing(size // 2, size):
        other.supply(tile, [leaf(i) for i in range(tile * TILE_LEAVES, (tile + 1) * TILE_LEAVES)])
    assert other.root_at(size) == naive(0, size)


def test_a_damaged_snapshot_is_refused() -> None:
    data = grown(300).snapshot()
    for bad in (
        b"",
        data[:-1],
        data + b"\x00",
        data.replace(b"\xcd\x01\x2c", b"\xcd\x01\x2d"),
        b"\x93\x01\xc4\x00\xc4\x00",
    ):
        with pytest.raises(ProtocolError):
            Tree().restore(bad)


def test_memory_holds_interior_nodes_and_recent_leaves_only(old: Tree) -> None:
    held = sum(map(sys.getsizeof, (*old._levels, *old._recent.values())))
    full = OLD // TILE_LEAVES
    assert len(old._recent) == RECENT_TILES
    # Two nodes a full tile and the recent leaves, with room for how bytearrays grow.
    assert held < 1.3 * (2 * full * 32 + RECENT_TILES * TILE_LEAVES * 32)
    assert 2 * (10**6 // TILE_LEAVES) * 32 + RECENT_TILES * TILE_LEAVES * 32 < 10**6
