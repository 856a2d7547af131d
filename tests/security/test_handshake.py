"""The handshake: every field is signed, nobody between the two learns the keys; frames are taken once, in order."""

from typing import Any

import pytest
from msgspec.structs import replace

from quorate.base import envelope
from quorate.base.codec import pack, unpack
from quorate.base.dice import Dice
from quorate.base.errors import InvariantBroken, ProtocolError, QuorateError
from quorate.base.limits import LINK_IDS_MAX, LINK_MESSAGE_MAX_BYTES
from quorate.base.signing import Ed25519Signer, exchange, exchange_public, verify
from quorate.model import Lease, MessageType
from quorate.model.link import PROTOCOL_VERSION, Challenge, Hello, Welcome
from quorate.security import (
    Frames,
    check_challenge,
    check_hello,
    check_welcome,
    session_frames,
    session_keys,
    sign_hello,
    sign_welcome,
)

AUTHORITY, NODE, MALLORY = (Ed25519Signer(mark * 32) for mark in (b"A", b"N", b"M"))
REALM = b"r" * 16
NOW = 1_700_000_000_000_000_000
LEASE = Lease(b"t" * 16, 0, 1, NODE.public, NOW)


def challenge(secret: bytes = b"c" * 32) -> Challenge:
    return Challenge(PROTOCOL_VERSION, REALM, AUTHORITY.public, b"1" * 32, exchange_public(secret))


def hello(to: Challenge, secret: bytes = b"n" * 32, **more: Any) -> Hello:
    key = exchange_public(secret)
    draft = Hello(PROTOCOL_VERSION, NODE.public, b"2" * 32, key, "token", "n1", ("cpu", "sandbox"), 4, (LEASE,), b"")
    return sign_hello(to, replace(draft, **more), NODE)


def welcome(to: Challenge, answer: Hello) -> Welcome:
    return sign_welcome(to, answer, Welcome(7, 1000, 16, b"g" * 32, b""), AUTHORITY)


def test_both_sides_prove_their_keys_and_share_two() -> None:
    asked = unpack(pack(challenge()), Challenge)
    answer = unpack(pack(hello(asked)), Hello)
    check_challenge(asked, REALM, AUTHORITY.public)
    check_hello(asked, answer, verify)
    check_welcome(asked, answer, unpack(pack(welcome(asked, answer)), Welcome), verify)
    here = session_keys(exchange(b"c" * 32, answer.exchange), asked.nonce, answer.nonce)
    there = session_keys(exchange(b"n" * 32, asked.exchange), asked.nonce, answer.nonce)
    assert here == there
    assert len({*here, bytes(32)}) == 3
    coordinator = session_frames(b"c" * 32, asked, answer, initiator=False)
    node = session_frames(b"n" * 32, asked, answer, initiator=True)
    assert node.open(coordinator.seal(3, b"down", NOW)).payload == b"down"
    assert coordinator.open(node.seal(3, b"up", NOW)).payload == b"up"
    assert Frames(*here).seal(3, b"x", NOW) == session_frames(b"c" * 32, asked, answer, initiator=False).seal(
        3, b"x", NOW
    )
    eve = session_frames(b"e" * 32, asked, answer, initiator=True)
    with pytest.raises(ProtocolError):
        eve.open(coordinator.seal(3, b"down", NOW))


OTHER_CHALLENGES: dict[str, Any] = {
    "protocol": 2,
    "realm": b"q" * 16,
    "authority": MALLORY.public,
    "nonce": b"9" * 32,
    "exchange": exchange_public(b"m" * 32),
}
OTHER_HELLOS: dict[str, Any] = {
    "protocol": 2,
    "node": MALLORY.public,
    "nonce": b"9" * 32,
    "exchange": exchange_public(b"m" * 32),
    "join": "other",
    "name": "n2",
    "capabilities": ("cpu",),
    "slots": 5,
    "running": (),
    "sig": bytes(64),
}
OTHER_WELCOMES: dict[str, Any] = {
    "session": 8,
    "heartbeat_ms": 1001,
    "window": 17,
    "grant": b"h" * 32,
    "sig": bytes(64),
}


def test_a_hello_fits_one_challenge_and_every_field_of_both_is_signed() -> None:
    asked = challenge()
    answer = hello(asked)
    assert set(OTHER_CHALLENGES) == set(Challenge.__struct_fields__)
    assert set(OTHER_HELLOS) == set(Hello.__struct_fields__)
    for name, value in OTHER_CHALLENGES.items():
        with pytest.raises(ProtocolError, match="prove"):
            check_hello(replace(asked, **{name: value}), answer, verify)
    for name, value in OTHER_HELLOS.items():
        with pytest.raises(ProtocolError):
            check_hello(asked, replace(answer, **{name: value}), verify)


def test_a_welcome_fits_one_hello_and_every_field_is_signed() -> None:
    asked = challenge()
    answer = hello(asked)
    reply = welcome(asked, answer)
    assert set(OTHER_WELCOMES) == set(Welcome.__struct_fields__)
    for name, value in OTHER_CHALLENGES.items():
        with pytest.raises(ProtocolError, match="prove"):
            check_welcome(replace(asked, **{name: value}), answer, reply, verify)
    for name in ("protocol", "node", "nonce", "exchange"):
        with pytest.raises(ProtocolError, match="prove"):
            check_welcome(asked, replace(answer, **{name: OTHER_HELLOS[name]}), reply, verify)
    for name, value in OTHER_WELCOMES.items():
        with pytest.raises(ProtocolError, match="prove"):
            check_welcome(asked, answer, replace(reply, **{name: value}), verify)
    with pytest.raises(ProtocolError):
        check_welcome(asked, answer, replace(reply, sig=answer.sig), verify)
    with pytest.raises(InvariantBroken):
        sign_welcome(asked, answer, reply, NODE)
    with pytest.raises(InvariantBroken):
        sign_hello(asked, answer, MALLORY)


def test_whoever_stands_between_two_ends_and_swaps_the_keys_is_found_out() -> None:
    asked = challenge()
    swapped = replace(asked, exchange=exchange_public(b"m" * 32))
    answer = hello(swapped)
    with pytest.raises(ProtocolError):
        check_hello(asked, answer, verify)
    with pytest.raises(ProtocolError):
        check_hello(asked, replace(hello(asked), exchange=exchange_public(b"m" * 32)), verify)


@pytest.mark.parametrize(
    "bad", [{"protocol": 2}, {"realm": b"r"}, {"authority": b"a"}, {"nonce": b"n"}, {"exchange": b"e"}]
)
def test_a_malformed_challenge_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        check_challenge(replace(challenge(), **bad))


def test_a_coordinator_other_than_the_expected_is_refused() -> None:
    check_challenge(challenge())
    with pytest.raises(ProtocolError, match="realm"):
        check_challenge(challenge(), b"q" * 16)
    with pytest.raises(ProtocolError, match="another one"):
        check_challenge(challenge(), REALM, MALLORY.public)


@pytest.mark.parametrize(
    "bad",
    [
        {"name": ""},
        {"name": "n" * 201},
        {"slots": 0},
        {"slots": 257},
        {"capabilities": ("c",) * 257},
        {"capabilities": ("c" * 201,)},
        {"capabilities": ("",)},
        {"running": (LEASE,) * 257},
    ],
)
def test_a_hello_beyond_a_limit_is_refused_though_it_is_signed(bad: dict[str, Any]) -> None:
    asked = challenge()
    with pytest.raises(ProtocolError) as caught:
        check_hello(asked, hello(asked, **bad), verify)
    assert caught.value.code == 1002


def test_a_hello_with_short_nonces_is_refused_though_it_is_signed() -> None:
    asked = challenge()
    for nonce, key in ((b"2", b"e" * 32), (b"2" * 32, b"e")):
        with pytest.raises(ProtocolError, match="nonce"):
            check_hello(asked, hello(asked, nonce=nonce, exchange=key), verify)
    old = replace(hello(asked), protocol=PROTOCOL_VERSION + 1)
    with pytest.raises(ProtocolError) as caught:
        check_hello(asked, old, verify)
    assert caught.value.code == 1008


@pytest.mark.parametrize("public", [b"", b"x" * 31, bytes(32), (1).to_bytes(32, "little")])
def test_an_exchange_key_that_is_none_is_refused(public: bytes) -> None:
    with pytest.raises(ProtocolError):
        exchange(b"c" * 32, public)


def two_ends() -> tuple[Frames, Frames]:
    down, up = session_keys(b"s" * 32, b"1" * 32, b"2" * 32)
    return Frames(down, up), Frames(up, down)


def test_frames_arrive_in_order_both_ways() -> None:
    coordinator, node = two_ends()
    assert coordinator.keyed
    for number in range(1, 5):
        got = node.open(coordinator.seal(MessageType.TASK_ASSIGNMENT, b"%d" % number, NOW, 3))
        assert (got.msg_id, got.payload, got.msg_type, got.timestamp_ns, got.priority) == (
            number,
            b"%d" % number,
            MessageType.TASK_ASSIGNMENT,
            NOW,
            3,
        )
    assert coordinator.open(node.seal(MessageType.TASK_RESULT, b"", NOW)).msg_id == 1


def test_replayed_lost_reordered_and_reflected_frames_are_refused_and_the_next_is_still_taken() -> None:
    coordinator, node = two_ends()
    one, two, three = (coordinator.seal(3, b"%d" % n, NOW) for n in range(3))
    node.open(one)
    for bad in (one, three, coordinator.seal(3, b"", NOW), node.seal(3, b"", NOW)):
        with pytest.raises(ProtocolError):
            node.open(bad)
        assert node.received == 1
    node.open(two)
    node.open(three)


def test_a_frame_of_another_session_damaged_or_plain_is_refused() -> None:
    coordinator, node = two_ends()
    stranger = Frames(*session_keys(b"s" * 32, b"1" * 32, b"3" * 32))
    dice = Dice(4)
    frame = bytearray(coordinator.seal(3, b"payload", NOW))
    for _ in range(100):
        damaged = frame.copy()
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
        with pytest.raises(ProtocolError):
            node.open(bytes(damaged))
    for bad in (stranger.seal(3, b"payload", NOW), envelope.seal(NOW, 1, 0, 0, 3, 0, 0, b"payload"), b"", b"x" * 63):
        with pytest.raises(ProtocolError):
            node.open(bad)
    node.open(bytes(frame))


def test_plain_frames_have_id_0_and_keyed_ones_do_not_pass_for_them() -> None:
    one, two = Frames(), Frames()
    assert [two.open(one.seal(MessageType.CHALLENGE, b"", NOW)).msg_id for _ in range(2)] == [0, 0]
    with pytest.raises(ProtocolError, match="expected"):
        two.open(envelope.seal(NOW, 1, 0, 0, 32, 0, 0, b""))
    with pytest.raises(ProtocolError):
        two.open(two_ends()[0].seal(3, b"", NOW))
    with pytest.raises(InvariantBroken):
        Frames(b"k" * 32)


@pytest.mark.parametrize("local", [MessageType.LINK_OPENED, MessageType.LINK_CLOSED, 1000])
def test_what_only_the_wire_may_say_is_not_taken_from_a_peer(local: int) -> None:
    coordinator, node = two_ends()
    with pytest.raises(ProtocolError, match="does not travel"):
        node.open(coordinator.seal(local, b"", NOW))


def test_a_session_ends_before_its_ids_wrap() -> None:
    coordinator, node = two_ends()
    coordinator.sent = node.received = LINK_IDS_MAX - 1
    assert node.open(coordinator.seal(3, b"", NOW)).msg_id == LINK_IDS_MAX < 2**32 - 1
    with pytest.raises(ProtocolError, match="reconnect"):
        coordinator.seal(3, b"", NOW)


def test_a_message_beyond_the_limit_is_not_sealed() -> None:
    coordinator, _ = two_ends()
    with pytest.raises(QuorateError) as caught:
        coordinator.seal(3, bytes(LINK_MESSAGE_MAX_BYTES + 1), NOW)
    assert caught.value.code == 1007
    assert coordinator.sent == 0
