"""Nodes that misbehave on the wire: replayed, forged, flooding, silent, too much: each is cut off with a code."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from edges.raw_node import NOW, RawNode, invite, link
from live import Live
from processes import Processes, until
from quorate.base.codec import unpack
from quorate.base.ids import hash_id
from quorate.base.limits import BLOB_MAX_BYTES, INLINE_MAX_BYTES, LINK_BURST_MESSAGES
from quorate.base.signing import Ed25519Signer
from quorate.model import Lease, MessageType, Result
from quorate.model.link import Answer, Answers, BlobPart, Heartbeat, ResultReceipts
from quorate.security import Frames, sign_result

BEAT = Heartbeat(0, 2, (), 0, (0, b""))
BEATS = ("--heartbeat-ms", "200", "--lost-ms", "1500")


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A coordinator without other nodes; at the end it still runs, and its log holds."""
    place = tmp_path_factory.mktemp("bad-nodes")
    with Processes(place / "logs") as running:
        live = Live(running, place / "data", *BEATS)
        yield live
        assert live.process.running
        assert live.request("GET", "/ready", token="").status_code == 200
        live.verify_log()


def offline(live: Live, node: bytes) -> bool:
    return bool(live.get(f"/nodes/{node.hex()}")["state"] == "offline")


def test_an_honest_node_by_hand_is_welcome_and_its_token_is_used_up(realm: Live) -> None:
    join = invite(realm)
    with link(realm) as node:
        node.join(join)
        node.send(MessageType.HEALTH_CHECK, BEAT)
        node.receive(MessageType.HEALTH_REPLY)
        assert realm.is_online(node.signer.public.hex())
    with link(realm) as other:
        other.send(MessageType.NODE_REGISTRATION, other.hello(join))
        assert other.refusal().code == 1003


@pytest.mark.parametrize("join", ["", "join-" + "0" * 48, "x" * 5000])
def test_a_join_token_that_is_none(realm: Live, join: str) -> None:
    with link(realm) as node:
        node.send(MessageType.NODE_REGISTRATION, node.hello(join))
        refused = node.refusal()
        assert refused.code == 1003 and refused.final


def test_a_users_token_lets_no_node_in(realm: Live) -> None:
    with link(realm) as node:
        node.send(MessageType.NODE_REGISTRATION, node.hello(realm.grant("observer")["token"]))
        assert node.refusal().code in (1003, 1005)


HELLOS: dict[str, tuple[dict[str, Any], int]] = {
    "another protocol": ({"protocol": 2}, 1008),
    "no name": ({"name": ""}, 1002),
    "NUL in its name": ({"name": "a\x00"}, 1002),
    "no slots": ({"slots": 0}, 1002),
    "too many slots": ({"slots": 10_000}, 1002),
    "too many capabilities": ({"capabilities": tuple(str(n) for n in range(300))}, 1002),
    "a short nonce": ({"nonce": b"1"}, 1002),
    "a degenerate exchange key": ({"exchange": bytes(32)}, 1003),
}


@pytest.mark.parametrize(("other", "code"), HELLOS.values(), ids=HELLOS)
def test_a_hello_that_does_not_fit(realm: Live, other: dict[str, Any], code: int) -> None:
    with link(realm) as node:
        node.send(MessageType.NODE_REGISTRATION, node.hello(invite(realm), **other))
        assert node.refusal().code == code


def test_a_hello_of_another_link_or_key_proves_nothing(realm: Live) -> None:
    with link(realm) as first:
        recorded = first.hello(invite(realm))
    with link(realm) as second:  # replayed to a fresh challenge
        second.send(MessageType.NODE_REGISTRATION, recorded)
        assert second.refusal().code == 1003
    with link(realm) as mallory:  # signed by one key, in the name of another
        claimed = replace(mallory.hello(invite(realm)), node=Ed25519Signer(b"v" * 32).public)
        mallory.send(MessageType.NODE_REGISTRATION, claimed)
        assert mallory.refusal().code == 1003


@pytest.mark.parametrize("frame", [b"", b"x", b"\0" * 64, b"\xff" * 200, b"\0" * 3_000_000], ids=len)
def test_frames_that_are_none(realm: Live, frame: bytes) -> None:
    with link(realm) as node:
        node.socket.send(frame)
        assert node.refusal().code in (3000, 1007)


def test_text_where_frames_belong_and_a_frame_over_the_limit(realm: Live) -> None:
    with link(realm) as node:
        node.socket.send("hello")
        assert node.refusal().code == 3000
    with link(realm) as node, pytest.raises(ConnectionClosed):
        node.socket.send(b"\0" * (17 * 1024 * 1024))
        node.socket.recv(10)


def test_nothing_is_said_before_hello(realm: Live) -> None:
    with link(realm) as node:
        node.send(MessageType.HEALTH_CHECK, BEAT)
        assert node.refusal().code == 1003


def test_a_replayed_a_reordered_and_a_forged_message_end_the_link(realm: Live) -> None:
    with link(realm) as node:
        node.join(invite(realm))
        beat = node.seal(MessageType.HEALTH_CHECK, BEAT)
        node.socket.send(beat)
        node.socket.send(beat)
        assert node.refusal().code == 3000
    with link(realm) as node:
        node.join(invite(realm))
        node.seal(MessageType.HEALTH_CHECK, BEAT)  # lost on the way
        node.send(MessageType.HEALTH_CHECK, BEAT)
        assert node.refusal().code == 3000
    with link(realm) as node:
        node.join(invite(realm))
        forged = Frames(b"k" * 32, b"k" * 32).seal(MessageType.HEALTH_CHECK, b"\x90", NOW)
        node.socket.send(forged)
        assert node.refusal().code == 3000
    with link(realm) as node:
        node.join(invite(realm))
        changed = bytearray(node.seal(MessageType.HEALTH_CHECK, BEAT))
        changed[-1] ^= 1
        node.socket.send(bytes(changed))
        assert node.refusal().code == 3000


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x91\xc0", b"\xff" * 50], ids=bytes.hex)
def test_a_message_that_does_not_decode(realm: Live, payload: bytes) -> None:
    with link(realm) as node:
        node.join(invite(realm))
        node.send(MessageType.HEALTH_CHECK, payload)
        assert node.refusal().code in (1002, 3000)


def test_a_message_type_that_a_node_does_not_say(realm: Live) -> None:
    with link(realm) as node:
        node.join(invite(realm))
        node.send(MessageType.TASK_ASSIGNMENT, b"\x90")
        assert node.refusal().code in (1002, 1008, 3000)


def lease_of(realm: Live, node: RawNode, **more: Any) -> tuple[str, Lease]:
    """A task that only this node can run, and its lease."""
    task = {"executor": node.executor, "input": 1, "retries": 0} | more
    job = realm.post("/tasks", task)["jobId"]
    return job, node.assignment().items[0].lease


def answer(by: RawNode, lease: Lease, output: bytes, realm: Live, **other: Any) -> Answer:
    draft = Result(lease.task, lease.slot, lease.epoch, lease.node, 0, hash_id(output), (), b"")
    result = sign_result(bytes.fromhex(realm.realm), replace(draft, **other), by.signer)
    return Answer(result, output, "")


def test_results_that_are_forged_or_of_somebody_else_do_not_count(realm: Live) -> None:
    with link(realm) as node:
        node.join(invite(realm))
        job, lease = lease_of(realm, node)
        good = answer(node, lease, b"7", realm)
        node.send(MessageType.TASK_RESULT, Answers((replace(good, result=replace(good.result, sig=bytes(64))),)))
        assert node.refusal().code == 1005
    assert realm.get(f"/jobs/{job}")["completed"] == 0
    with link(realm) as node:
        node.join(invite(realm))
        job, lease = lease_of(realm, node)
        node.send(MessageType.TASK_RESULT, Answers((answer(node, lease, b"7", realm, node=b"o" * 32),)))
        assert node.refusal().code == 1005
    assert realm.get(f"/jobs/{job}")["completed"] == 0


def test_results_over_the_limit_and_others_than_they_say_are_receipted_with_the_code(realm: Live) -> None:
    with link(realm) as node:
        node.join(invite(realm))
        job, lease = lease_of(realm, node)
        cases = [
            (answer(node, lease, b"x" * (INLINE_MAX_BYTES + 1), realm), 1007),
            (replace(answer(node, lease, b"7", realm), output=b"8"), 1002),
            (replace(answer(node, lease, b"7", realm), output=None), 1002),  # says it put a blob, and did not
            (answer(node, lease, b"7", realm, epoch=lease.epoch + 9), 4002),
            (answer(node, lease, b"7", realm, task=b"t" * 16), 1000),
            (answer(node, lease, b"7", realm), 0),
        ]
        for one, code in cases:
            node.send(MessageType.TASK_RESULT, Answers((one,)))
            receipts = unpack(node.receive(MessageType.RESULT_RECEIPT), ResultReceipts)
            assert receipts.items[0][3] == code or (code and receipts.items[0][3] in (1000, 4002)), (code, receipts)
        assert realm.done(job)["state"] == "completed"
        node.send(MessageType.TASK_RESULT, Answers((cases[-1][0],)))  # again: it is there once
        assert node.receive(MessageType.RESULT_RECEIPT)
    results = realm.get(f"/tasks/{lease.task.hex()}/results")
    assert results["output"] == "7" and len(results["results"]) == 1


@pytest.mark.parametrize(("offset", "total", "size"), [(0, BLOB_MAX_BYTES + 1, 1), (-1, 10, 1), (0, 0, 0), (9, 10, 5)])
def test_blob_parts_that_do_not_fit(realm: Live, offset: int, total: int, size: int) -> None:
    with link(realm) as node:
        node.join(invite(realm))
        node.send(MessageType.BLOB_PUT, BlobPart(b"b" * 32, offset, total, b"x" * size))
        assert node.refusal().code in (1002, 1007)


def test_a_node_that_floods_is_cut_off_and_the_others_are_served(realm: Live) -> None:
    with link(realm) as calm, link(realm) as node:
        calm.join(invite(realm))
        node.join(invite(realm))
        try:
            for number in range(4 * LINK_BURST_MESSAGES):
                if number % 2_000 == 0:
                    calm.send(MessageType.HEALTH_CHECK, BEAT)
                node.send(MessageType.HEALTH_CHECK, BEAT)
        except ConnectionClosed:
            pass
        assert flood_ended(node)
        calm.send(MessageType.HEALTH_CHECK, BEAT)
        assert realm.request("GET", "/status").status_code == 200


def flood_ended(node: RawNode) -> bool:
    """Did the coordinator close the link, and say why?"""
    with contextlib.suppress(ConnectionClosed):
        while True:
            node.socket.recv(15)
    closed = node.socket.protocol.close_rcvd
    return closed is not None and ("messages a second" in closed.reason or "does not read" in closed.reason)


def test_a_node_that_never_answers_loses_its_task_to_another(realm: Live) -> None:
    with link(realm) as silent:
        silent.join(invite(realm))
        job, lease = lease_of(realm, silent, retries=2)
        until(lambda: offline(realm, silent.signer.public), "no heartbeat: offline")
        with link(realm) as other:
            other.join(invite(realm), capabilities=(f"executor:{silent.executor}",))
            second = other.assignment().items[0].lease
            assert second.task == lease.task and second.epoch > lease.epoch
            other.send(MessageType.TASK_RESULT, Answers((answer(other, second, b"7", realm),)))
            assert realm.done(job)["state"] == "completed"
    attempts = realm.get(f"/tasks/{lease.task.hex()}")["attempts"]
    assert [attempt["node"] for attempt in attempts] == [silent.signer.public.hex(), other.signer.public.hex()]
    assert attempts[0]["reason"]


def test_a_node_that_beats_but_never_answers_loses_its_lease_by_its_timeout(realm: Live) -> None:
    with link(realm) as node:
        node.join(invite(realm))
        job, lease = lease_of(realm, node, timeoutMs=100, retries=0)
        state = "running"
        while state == "running":
            node.send(MessageType.HEALTH_CHECK, BEAT)
            state = realm.get(f"/jobs/{job}/wait?timeoutMs=100")["state"]
    assert state == "failed"
    attempts = realm.get(f"/tasks/{lease.task.hex()}")["attempts"]
    assert [(attempt["code"], attempt["reason"]) for attempt in attempts] == [
        (1001, "no answer before the lease expired")
    ]


def test_a_link_that_says_nothing_is_closed(processes: Processes, realm: Live) -> None:
    with connect(realm.url.replace("http", "ws") + "/link") as quiet:
        quiet.recv(5)
        with pytest.raises(ConnectionClosed):
            while True:
                quiet.recv(20)


def test_a_socket_that_breaks_off_mid_frame_is_forgotten(realm: Live) -> None:
    host, port = realm.url.removeprefix("http://").split(":")
    for junk in (b"GET /link HTTP/1.1\r\n", b"\x16\x03\x01\x02", b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab"):
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            raw.sendall(junk)
    assert realm.request("GET", "/status").status_code == 200
