"""Heads: signed, cosigned under another context, and witnesses that cosign only growth."""

import pytest
from msgspec.structs import replace

from quorate.base.codec import pack
from quorate.base.dice import Dice
from quorate.base.errors import InvariantBroken, ProtocolError
from quorate.base.ids import hash_id
from quorate.base.signing import HEAD, Ed25519Signer, verify
from quorate.model import LogHead, SignedHead
from quorate.model.link import HeartbeatReply
from quorate.security import (
    EMPTY_ROOT,
    Tree,
    Witness,
    add_cosignatures,
    check_head,
    cosign,
    cosigner_holds,
    head_holds,
    sign_head,
)

REALM = b"r" * 16
LOG = b"l" * 16
AUTHORITY, NODE, OTHER = (Ed25519Signer(mark * 32) for mark in (b"A", b"N", b"O"))


def log_of(name: str, shared: int, size: int) -> Tree:
    """A log whose first `shared` events are everybody's."""
    tree = Tree()
    for index in range(size):
        tree.append(hash_id(b"%d" % index if index < shared else f"{name} {index}".encode()))
    return tree


def head_at(tree: Tree, size: int, epoch: int = 1, realm: bytes = REALM, log: bytes = LOG) -> SignedHead:
    return sign_head(realm, (LogHead(log, epoch, size, tree.root_at(size)),), AUTHORITY)


def reply(tree: Tree, since: int, size: int, epoch: int = 1) -> HeartbeatReply:
    return HeartbeatReply(head_at(tree, size, epoch), since, tree.consistency(since, size))


def witness() -> Witness:
    return Witness(REALM, AUTHORITY.public, verify, None)


@pytest.fixture(scope="module")
def tree() -> Tree:
    return log_of("a", 700, 700)


def test_a_head_holds_and_every_change_of_it_does_not(tree: Tree) -> None:
    head = sign_head(REALM, (LogHead(b"z", 1, 9, tree.root_at(9)), LogHead(b"a", 2, 5, tree.root_at(5))), AUTHORITY)
    check_head(head, verify, AUTHORITY.public)
    assert head_holds(head, AUTHORITY.public, verify)
    assert not head_holds(head, OTHER.public, verify)
    assert [log.log for log in head.heads] == [b"a", b"z"]
    first, second = head.heads
    for bad in (
        replace(head, realm=b"q" * 16),
        replace(head, realm=b"short"),
        replace(head, heads=()),
        replace(head, heads=(first,)),
        replace(head, heads=(second, first)),
        replace(head, heads=(first, first, second)),
        *(
            replace(head, heads=(replace(first, **{name: value}), second))
            for name, value in (("log", b"b"), ("epoch", 3), ("size", 6), ("root", EMPTY_ROOT), ("root", b""))
        ),
        replace(head, signer=OTHER.public),
        replace(head, sig=bytes(64)),
        replace(head, sig=cosign(head, AUTHORITY)),
    ):
        with pytest.raises(ProtocolError):
            check_head(bad, verify, AUTHORITY.public)
    with pytest.raises(ProtocolError, match="authority"):
        check_head(head, verify, OTHER.public)
    with pytest.raises(InvariantBroken):
        sign_head(REALM, (first, first), AUTHORITY)


@pytest.mark.parametrize(
    ("realm", "heads"),
    [
        (b"short", (LogHead(LOG, 1, 1, hash_id(b"x")),)),
        (REALM, ()),
        (REALM, (LogHead(LOG, 1, 1, hash_id(b"x")), LogHead(LOG, 1, 1, hash_id(b"x")))),
        (REALM, (LogHead(b"z", 1, 1, hash_id(b"x")), LogHead(b"a", 1, 1, hash_id(b"x")))),
        (REALM, (LogHead(LOG, 1, 1, b"short"),)),
        (REALM, (LogHead(LOG, 1, -1, EMPTY_ROOT),)),
        (REALM, (LogHead(LOG, -1, 1, hash_id(b"x")),)),
        (REALM, (LogHead(LOG, 1, 0, hash_id(b"x")),)),
    ],
)
def test_a_malformed_head_is_refused_though_the_authority_signed_it(realm: bytes, heads: tuple[LogHead, ...]) -> None:
    sig = AUTHORITY.sign(HEAD + pack((realm, heads, AUTHORITY.public)))
    with pytest.raises(ProtocolError) as caught:
        check_head(SignedHead(realm, heads, AUTHORITY.public, sig), verify, AUTHORITY.public)
    assert caught.value.code == 1002


def test_a_cosignature_is_for_one_head_by_one_node_and_no_authoritys_signature(tree: Tree) -> None:
    head = head_at(tree, 100)
    sig = cosign(head, NODE)
    assert cosigner_holds(head, NODE.public, sig, verify)
    assert cosigner_holds(add_cosignatures(head, [(OTHER.public, b"x")]), NODE.public, sig, verify)
    assert not cosigner_holds(head, OTHER.public, sig, verify)
    assert not cosigner_holds(head_at(tree, 101), NODE.public, sig, verify)
    assert not cosigner_holds(head_at(tree, 100, epoch=2), NODE.public, sig, verify)
    assert not cosigner_holds(head, AUTHORITY.public, head.sig, verify)


def test_cosignatures_are_kept_in_order_once_a_node(tree: Tree) -> None:
    head = head_at(tree, 100)
    pairs = [(signer.public, cosign(head, signer)) for signer in (NODE, OTHER, AUTHORITY)]
    one = add_cosignatures(add_cosignatures(head, pairs[:2]), pairs[1:])
    assert one == add_cosignatures(head, pairs[::-1])
    assert one.cosigned == tuple(sorted(pairs))


def test_a_witness_follows_a_log_that_grows(tree: Tree) -> None:
    one, dice, size = witness(), Dice(5), 0
    assert one.consider(HeartbeatReply(None, 0, ()), NODE) == (0, b"")
    while size < 650:
        grown = size + dice.randint(0, 40)
        answer = reply(tree, size, grown)
        assert answer.head is not None
        got, sig = one.consider(answer, NODE)
        assert got == grown == one.seen
        assert cosigner_holds(answer.head, NODE.public, sig, verify)
        size = grown
    assert one.evidence is None


def test_a_new_epoch_of_the_same_log_is_cosigned_and_an_old_one_never_again(tree: Tree) -> None:
    one = witness()
    one.consider(reply(tree, 0, 50), NODE)
    assert one.consider(reply(tree, 50, 50, epoch=2), NODE)[0] == 50
    with pytest.raises(ProtocolError, match="epoch"):
        one.consider(reply(tree, 50, 60, epoch=1), NODE)


@pytest.mark.parametrize("seen", [1, 100, 256, 300])
@pytest.mark.parametrize("shared", [0, 99, 255])
def test_a_fork_is_refused_whatever_proof_comes_with_it_and_shown(tree: Tree, seen: int, shared: int) -> None:
    other = log_of("b", min(shared, seen - 1), 700)
    one = witness()
    one.consider(reply(tree, 0, seen), NODE)
    trusted = one.last
    for bad in (
        reply(other, seen, seen + 30),
        reply(other, seen, seen),
        HeartbeatReply(head_at(other, seen + 30), seen, tree.consistency(seen, seen + 30)),
        HeartbeatReply(head_at(other, seen + 30), seen, ()),
        reply(tree, 0, seen - 1),
    ):
        with pytest.raises(ProtocolError) as caught:
            one.consider(bad, NODE)
        assert caught.value.code == 1006
        assert one.evidence == (trusted, bad.head)
        assert one.last == trusted
    with pytest.raises(ProtocolError, match="shrank"):
        one.consider(reply(tree, 0, seen - 1), NODE)
    one.consider(reply(tree, seen, seen + 30), NODE)


def test_a_head_that_is_not_the_authoritys_or_of_another_realm_or_log_is_refused(tree: Tree) -> None:
    one = witness()
    one.consider(reply(tree, 0, 10), NODE)
    proof = tree.consistency(10, 20)
    good = head_at(tree, 20)
    several = sign_head(REALM, (good.heads[0], LogHead(b"x", 1, 20, tree.root_at(20))), AUTHORITY)
    for head in (
        replace(good, sig=bytes(64)),
        sign_head(REALM, good.heads, OTHER),
        head_at(tree, 20, realm=b"q" * 16),
        head_at(tree, 20, log=b"x"),
        several,
    ):
        with pytest.raises(ProtocolError):
            one.consider(HeartbeatReply(head, 10, proof), NODE)
        assert one.seen == 10
        assert one.evidence is None
    assert one.consider(HeartbeatReply(good, 10, proof), NODE)[0] == 20


def test_a_reply_that_crossed_a_later_one_is_neither_cosigned_nor_a_fork(tree: Tree) -> None:
    one = witness()
    one.consider(reply(tree, 0, 100), NODE)
    assert one.consider(reply(tree, 50, 120), NODE) == (0, b"")
    assert one.seen == 100
    assert one.consider(reply(tree, 50, 100), NODE)[0] == 100
    with pytest.raises(ProtocolError, match="seen is 100"):
        one.consider(reply(tree, 110, 120), NODE)


def test_a_witness_remembers_over_a_restart(tree: Tree) -> None:
    one, other = witness(), witness()
    other.restore(one.record())
    assert other.last is None
    one.consider(reply(tree, 0, 100), NODE)
    other.restore(one.record())
    assert other.last == one.last
    with pytest.raises(ProtocolError):
        other.consider(reply(log_of("b", 99, 120), 100, 120), NODE)
    for bad in (b"", b"\x01", one.record()[:-1], one.record()[:-3] + b"abc"):
        with pytest.raises(ProtocolError):
            witness().restore(bad)
    with pytest.raises(ProtocolError):
        Witness(b"q" * 16, AUTHORITY.public, verify).restore(one.record())
