"""Chains: what is drafted passes, what is tampered with is named by its position and changes nothing."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quorate.base.codec import pack
from quorate.base.dice import Dice
from quorate.base.errors import InvariantBroken, ProtocolError, QuorateError
from quorate.base.ids import NO_ID, hash_id
from quorate.base.limits import EVENT_BODY_MAX_BYTES, GROUP_EVENTS_MAX, SIGN_EVERY_EVENTS
from quorate.base.signing import EVENT, Ed25519Signer, verify
from quorate.model import Event, Noted, Sealed
from quorate.security import BadEvent, Chain, Chains, open_event, sign_group

REALM = b"r" * 16
NOW = 1_700_000_000_000_000_000
GRANT = hash_id(b"grant")
ALICE = Ed25519Signer(b"a" * 32)
BOB = Ed25519Signer(b"b" * 32)


def chain_of(signer: Ed25519Signer, realm: bytes = REALM) -> Chain:
    return Chain(realm, signer, b"k" * 32)


def note(chain: Chain, text: bytes = b"{}", now: int = NOW, **more: object) -> Sealed:
    return chain.draft("note", b"s", Noted("n", text), GRANT, now, **more)[2]  # type: ignore[arg-type]


def changed(sealed: Sealed, **fields: object) -> Sealed:
    """The same event with other fields in its head, unsigned as it was."""
    event = msgspec.structs.replace(msgspec.msgpack.decode(sealed.head, type=Event), **fields)
    return msgspec.structs.replace(sealed, head=pack(event))


def signed(sealed: Sealed, signer: Ed25519Signer) -> Sealed:
    return msgspec.structs.replace(sealed, sig=signer.sign(EVENT + hash_id(sealed.head)))


def test_a_draft_is_dense_linked_and_deterministic() -> None:
    one, two = chain_of(ALICE), chain_of(ALICE)
    last, last_hlc = NO_ID, 0
    for seq in range(1, 6):
        id, event, sealed = one.draft("note", b"", Noted("n", b"1"), GRANT, NOW)
        assert (event.seq, event.prev, event.actor) == (seq, last, ALICE.public)
        assert event.hlc > last_hlc
        assert id == hash_id(sealed.head)
        assert two.draft("note", b"", Noted("n", b"1"), GRANT, NOW)[2] == sealed
        last, last_hlc = id, event.hlc
    assert one.state() == (5, last, last_hlc)
    assert Chain(REALM, ALICE, b"k" * 32, *one.state()).draft("note", b"", Noted("n", b"1"), GRANT, NOW)[1].seq == 6


def test_salts_differ_by_place_by_actor_and_by_realm() -> None:
    chain = chain_of(ALICE)
    salts = {note(chain).salt, note(chain).salt, note(chain_of(BOB)).salt, note(chain_of(ALICE, b"q" * 16)).salt}
    assert len(salts) == 4


def test_the_clock_passes_its_deps_and_survives_a_wall_clock_that_falls() -> None:
    chain = chain_of(ALICE)
    first = chain.draft("note", b"", Noted("n", b""), GRANT, NOW)[1]
    fallen = chain.draft("note", b"", Noted("n", b""), GRANT, NOW - 10**12)[1]
    late = chain.draft("note", b"", Noted("n", b""), GRANT, NOW, (GRANT,), first.hlc + 10**9)[1]
    assert first.hlc < fallen.hlc < first.hlc + 10**9 < late.hlc


@pytest.mark.parametrize(
    ("kind", "body", "deps", "subject", "code"),
    [
        ("note", Noted("n", bytes(EVENT_BODY_MAX_BYTES)), (), b"", 1007),
        ("note", Noted("n", b""), (NO_ID,) * 9, b"", 1002),
        ("", Noted("n", b""), (), b"", 1002),
        ("k" * 201, Noted("n", b""), (), b"", 1002),
        ("note", Noted("n", b""), (), bytes(3000), 1007),
    ],
)
def test_a_draft_beyond_a_limit_is_refused_and_leaves_the_chain(
    kind: str, body: Noted, deps: tuple[bytes, ...], subject: bytes, code: int
) -> None:
    chain = chain_of(ALICE)
    note(chain)
    before = chain.state()
    with pytest.raises(QuorateError) as caught:
        chain.draft(kind, subject, body, GRANT, NOW, deps)
    assert caught.value.code == code
    assert chain.state() == before


def test_a_group_is_signed_once_at_its_end_and_in_steps_when_it_is_long() -> None:
    alice, bob = chain_of(ALICE), chain_of(BOB)
    group = [note(alice), note(alice), signed(note(bob), BOB)]
    done = sign_group(group, ALICE)
    assert [s.sig is not None for s in done] == [False, True, True]
    assert done[2] == group[2]
    assert len(Chains(REALM, verify).check(done)) == 3
    assert sign_group((), ALICE) == ()
    assert sign_group(group[2:], ALICE) == tuple(group[2:])

    many = chain_of(ALICE)
    long = sign_group([note(many) for _ in range(3 * SIGN_EVERY_EVENTS + 5)], ALICE)
    at = [i for i, s in enumerate(long) if s.sig is not None]
    assert at[-1] == len(long) - 1
    assert at[0] < SIGN_EVERY_EVENTS
    assert all(b - a <= SIGN_EVERY_EVENTS for a, b in pairwise(at))
    Chains(REALM, verify).check(long)


@pytest.mark.parametrize(
    "broken",
    [
        lambda s: msgspec.structs.replace(s, body=b"other"),
        lambda s: msgspec.structs.replace(s, salt=b"x" * 16),
        lambda s: msgspec.structs.replace(s, salt=s.salt + b"x"),
        lambda s: msgspec.structs.replace(s, sig=b"short"),
        lambda s: msgspec.structs.replace(s, head=s.head + b"\x00"),
        lambda s: msgspec.structs.replace(s, head=s.head[:-1]),
        lambda s: msgspec.structs.replace(s, head=b"\x9c" + s.head[1:] + b"\xc0"),
        lambda s: msgspec.structs.replace(s, head=b""),
        lambda s: changed(s, v=2),
        lambda s: changed(s, realm=b"short"),
        lambda s: changed(s, actor=b"short"),
        lambda s: changed(s, seq=0),
        lambda s: changed(s, seq=2**63),
        lambda s: changed(s, hlc=-1),
        lambda s: changed(s, deps=(GRANT,) * 9),
        lambda s: changed(s, deps=(b"short",)),
        lambda s: changed(s, grant=b""),
        lambda s: changed(s, kind=""),
        lambda s: changed(s, subject=bytes(3000)),
    ],
)
def test_a_malformed_event_does_not_open(broken: object) -> None:
    sealed = note(chain_of(ALICE))
    open_event(sealed)
    with pytest.raises(ProtocolError):
        open_event(broken(sealed))  # type: ignore[operator]


def test_an_erased_body_leaves_the_chain_whole() -> None:
    chain = chain_of(ALICE)
    group = sign_group([note(chain), note(chain)], ALICE)
    erased = [msgspec.structs.replace(group[0], body=None), group[1]]
    assert [e.seq for _, e in Chains(REALM, verify).check(erased)] == [1, 2]


def test_check_takes_a_batch_whole_or_not_at_all() -> None:
    chain = chain_of(ALICE)
    chains = Chains(REALM, verify)
    chains.check(sign_group([note(chain)], ALICE))
    before = chains.snapshot()
    good = sign_group([note(chain), note(chain)], ALICE)
    with pytest.raises(BadEvent) as caught:
        chains.check([*good, note(chain)])
    assert caught.value.position == 4
    assert chains.snapshot() == before
    assert chains.state(ALICE.public)[0] == 1
    chains.check(good)
    assert chains.state(ALICE.public)[0] == 3
    assert chains.size == 3
    with pytest.raises(BadEvent):
        chains.check(good)
    with pytest.raises(ProtocolError):
        chains.check([good[0]] * (GROUP_EVENTS_MAX + 1))


def test_an_event_of_another_realm_is_refused() -> None:
    other = sign_group([note(chain_of(ALICE, b"q" * 16))], ALICE)
    with pytest.raises(BadEvent, match="another realm"):
        Chains(REALM, verify).check(other)


def test_someone_elses_signature_covers_nothing() -> None:
    with pytest.raises(BadEvent, match="signature"):
        Chains(REALM, verify).check([signed(note(chain_of(ALICE)), BOB)])


def test_an_actor_that_signs_a_gap_a_fork_or_a_falling_clock_is_named_itself() -> None:
    chain = chain_of(ALICE)
    first, second = note(chain), note(chain)
    level = msgspec.msgpack.decode(first.head, type=Event).hlc
    for bad in (
        changed(second, seq=3),
        changed(second, prev=GRANT),
        changed(second, hlc=1),
        changed(second, hlc=level),
    ):
        with pytest.raises(BadEvent) as caught:
            Chains(REALM, verify).check([signed(first, ALICE), signed(bad, ALICE)])
        assert caught.value.position == 2


def a_log(seed: int, length: int = 24) -> list[Sealed]:
    """Groups of two actors' events, each group signed."""
    dice, chains, log = Dice(seed), {ALICE: chain_of(ALICE), BOB: chain_of(BOB)}, []
    while len(log) < length:
        group = [note(chains[dice.choice((ALICE, BOB))], b"%d" % i) for i in range(dice.randint(1, 7))]
        log += sign_group(sign_group(group, ALICE), BOB)
    return log


def fed(log: list[Sealed], cuts: int) -> Chains:
    chains = Chains(REALM, verify)
    for at in range(0, len(log), cuts):
        chains.feed(log[at : at + cuts])
    chains.finish()
    return chains


@pytest.mark.parametrize("cuts", [1, 2, 5, 1000])
def test_a_log_may_be_read_in_pages_cut_anywhere(cuts: int) -> None:
    log = a_log(1)
    chains = fed(log, cuts)
    assert chains.size == len(log)
    assert chains.snapshot() == fed(log, 1000).snapshot()


@given(
    seed=st.integers(0, 30),
    cuts=st.integers(1, 30),
    where=st.integers(0, 10**6),
    what=st.sampled_from(
        ["body", "salt", "prev", "hlc up", "hlc down", "seq", "kind", "grant", "sig", "lost", "twice", "byte"]
    ),
)
@settings(derandomize=True, deadline=None, max_examples=300)
def test_the_first_bad_event_is_named_wherever_it_is(seed: int, cuts: int, where: int, what: str) -> None:
    log = a_log(seed)
    at = where % len(log)
    sealed, event = log[at], msgspec.msgpack.decode(log[at].head, type=Event)
    expected = at + 1
    if what in ("body", "salt"):
        log[at] = msgspec.structs.replace(sealed, **{what: b"z" * 16})
    elif what == "sig":
        log[at] = msgspec.structs.replace(sealed, sig=bytes(64))
    elif what == "lost":
        del log[at]
        later = [i for i, other in enumerate(log) if i >= at and actor(other) == event.actor]
        assume(later)  # the loss of an actor's last event leaves no gap: what it covered stays uncovered, see below
        expected = later[0] + 1
    elif what == "twice":
        log.insert(at + 1, sealed)
        expected = at + 2
    elif what == "byte":
        head = bytearray(sealed.head)
        head[where % len(head)] ^= 1 << where % 8
        log[at] = msgspec.structs.replace(sealed, head=bytes(head))
        if msgspec.msgpack.Decoder(Event).decode(sealed.head) == quietly(log[at]):
            return  # another encoding of the same: a new id all the same, judged by the link
    else:
        fields = {
            "prev": {"prev": GRANT},
            "hlc up": {"hlc": event.hlc + 10**6},
            "hlc down": {"hlc": 1},
            "seq": {"seq": event.seq + 1},
            "kind": {"kind": "other"},
            "grant": {"grant": NO_ID},
        }[what]
        log[at] = changed(sealed, **fields)
    with pytest.raises(BadEvent) as caught:
        fed(log, cuts)
    if what == "byte":
        # A flip in the actor's key moves the event to another chain: the hole it leaves may be what shows first.
        assert caught.value.position >= at + 1
    else:
        assert caught.value.position == expected, (what, at + 1, str(caught.value))


def actor(sealed: Sealed) -> bytes:
    return msgspec.msgpack.decode(sealed.head, type=Event).actor


def quietly(sealed: Sealed) -> Event | None:
    try:
        return msgspec.msgpack.decode(sealed.head, type=Event)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def test_a_log_cut_short_inside_a_group_is_named() -> None:
    chain = chain_of(ALICE)
    log = [*sign_group([note(chain), note(chain)], ALICE), *sign_group([note(chain), note(chain)], ALICE)]
    with pytest.raises(BadEvent) as caught:
        fed(log[:3], 2)
    assert caught.value.position == 3


def test_events_that_nobody_signs_are_bounded() -> None:
    chain, chains = chain_of(ALICE), Chains(REALM, verify)
    chains.feed([note(chain) for _ in range(GROUP_EVENTS_MAX)])
    assert chains.pending == GROUP_EVENTS_MAX
    with pytest.raises(InvariantBroken):
        chains.snapshot()
    with pytest.raises(BadEvent) as caught:
        chains.feed([note(chain)])
    assert caught.value.position == 1
    assert chains.pending == GROUP_EVENTS_MAX


def test_a_snapshot_goes_on_where_the_fold_was() -> None:
    log = a_log(7, 60)
    middle = fed(a_log(7, 60), 10)
    other = Chains(REALM, verify)
    other.restore(middle.snapshot())
    assert other.snapshot() == middle.snapshot()
    assert other.size == len(log)
    for signer in (ALICE, BOB):
        assert other.state(signer.public) == middle.state(signer.public)
    chain = Chain(REALM, ALICE, b"k" * 32, *other.state(ALICE.public))
    other.check(sign_group([note(chain)], ALICE))
    with pytest.raises(ProtocolError):
        Chains(b"q" * 16, verify).restore(middle.snapshot())
    with pytest.raises(ProtocolError):
        Chains(REALM, verify).restore(b"\x93")
