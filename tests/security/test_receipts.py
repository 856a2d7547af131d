"""Receipts: a good one verifies; any value changed, dropped, added, doubled or moved fails, and so does any forgery."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from quorate.base.codec import pack, to_json
from quorate.base.errors import ProtocolError
from quorate.base.ids import hash_id
from quorate.base.signing import Ed25519Signer, verify
from quorate.model import LogHead, Noted, Result, Sealed, SignedHead, TaskSettled, TaskSpec
from quorate.security import (
    BadReceipt,
    Chain,
    ReceiptReport,
    Tree,
    add_cosignatures,
    build_receipt,
    cosign,
    realm_id,
    result_holds,
    result_message,
    sign_group,
    sign_head,
    sign_result,
    verify_receipt,
)

AUTHORITY, MALLORY = Ed25519Signer(b"A" * 32), Ed25519Signer(b"M" * 32)
NODES = [Ed25519Signer(bytes([65 + n]) * 32) for n in range(10, 16)]
NONCE = b"n" * 16
REALM = realm_id(AUTHORITY.public, NONCE)
NOW = 1_700_000_000_000_000_000
OUTPUT, LIE = hash_id(b"output"), hash_id(b"a lie")
SPEC = TaskSpec(b"t" * 16, "command", hash_id(b"input"), (b"d" * 16,), ("sandbox",), replicas=3, quorum=2)


def signed_result(
    node: Ed25519Signer, slot: int, output: bytes = OUTPUT, code: int = 0, realm: bytes = REALM, task: bytes = SPEC.id
) -> Result:
    return sign_result(realm, Result(task, slot, slot + 1, node.public, code, output, (12, 7, 2048, 90), b""), node)


AGREED = (signed_result(NODES[0], 0), signed_result(NODES[1], 2))
DISSENT = (signed_result(NODES[2], 1, LIE),)
BODY = TaskSettled(SPEC.id, b"j" * 16, hash_id(pack(SPEC)), "completed", 0, OUTPUT, 2, AGREED, DISSENT, "")


@dataclass
class Case:
    """A small realm whose log settles one task; every part can be made otherwise."""

    body: TaskSettled = BODY
    spec: TaskSpec = SPEC
    kind: str = "task.settled"
    actor: Ed25519Signer = AUTHORITY
    event_realm: bytes = REALM
    after: int = 3
    head_signer: Ed25519Signer = AUTHORITY
    head_realm: bytes = REALM
    cosigners: list[Ed25519Signer] = field(default_factory=lambda: NODES[2:4])
    keep: int | None = None
    alter: Callable[[dict[str, Any]], None] = lambda _: None

    def parts(self) -> dict[str, Any]:
        chain = Chain(self.event_realm, self.actor, b"k" * 32)
        group = [chain.draft("note", b"", Noted("n", b"%d" % n), hash_id(b"g"), NOW)[2] for n in range(4)]
        group.append(chain.draft(self.kind, self.spec.id, self.body, hash_id(b"g"), NOW)[2])
        group += [chain.draft("note", b"", Noted("n", b"%d" % n), hash_id(b"g"), NOW)[2] for n in range(self.after)]
        log = sign_group(group, self.actor)
        tree = Tree()
        for sealed in log:
            tree.append(hash_id(sealed.head))
        for n in range(5):
            tree.append(hash_id(b"%d" % n))
        head = sign_head(self.head_realm, (LogHead(REALM, 3, tree.size, tree.root()),), self.head_signer)
        return {
            "authority": AUTHORITY.public,
            "nonce": NONCE,
            "spec": self.spec,
            "position": 5,
            "sealed": log[4],
            "chain": log[5:],
            "path": tree.inclusion(4, tree.size),
            "head": add_cosignatures(head, [(node.public, cosign(head, node)) for node in self.cosigners]),
            "cosigners": self.keep,
        }

    def data(self) -> bytes:
        document = json.loads(to_json(build_receipt(**self.parts())))
        self.alter(document)
        return json.dumps(document).encode()


@cache
def good() -> bytes:
    return Case().data()


def test_a_good_receipt_tells_what_was_settled_by_whom() -> None:
    report = verify_receipt(good(), verify)
    assert report == ReceiptReport(
        realm=REALM,
        authority=AUTHORITY.public,
        task=SPEC.id,
        job=b"j" * 16,
        executor="command",
        input=SPEC.input,
        output=OUTPUT,
        quorum=2,
        agreed=(NODES[0].public, NODES[1].public),
        dissent=(NODES[2].public,),
        event=hash_id(bytes.fromhex(json.loads(good())["event"]["head"])),
        position=5,
        size=13,
        cosigners=tuple(sorted(node.public for node in NODES[2:4])),
        authority_known=False,
        nodes_known=False,
    )
    text = "\n".join(report.lines)
    for part in (OUTPUT, NODES[0].public, NODES[2].public, NODES[3].public, AUTHORITY.public, SPEC.input):
        assert part.hex() in text
    assert text.count("not compared") == 2
    known = verify_receipt(good(), verify, authority=AUTHORITY.public, nodes=frozenset(n.public for n in NODES))
    assert (known.authority_known, known.nodes_known) == (True, True)
    assert "not compared" not in "\n".join(known.lines)


def test_spaces_and_the_order_of_keys_are_free() -> None:
    document = json.loads(good())
    turned = {key: document[key] for key in sorted(document, reverse=True)}
    for text in (json.dumps(turned, indent=4), json.dumps(document, separators=(",", ":"))):
        verify_receipt(text.encode(), verify)


@pytest.mark.parametrize("after", [0, 1, 70])
def test_the_signature_may_be_the_events_own_or_come_later(after: int) -> None:
    assert verify_receipt(Case(after=after).data(), verify).position == 5


def test_as_many_cosignatures_as_needed_are_kept_and_as_many_as_asked_for_must_be_there() -> None:
    case = Case(cosigners=NODES)
    assert len(verify_receipt(case.data(), verify).cosigners) == SPEC.quorum
    many = Case(cosigners=NODES, keep=5).data()
    assert len(verify_receipt(many, verify, cosigners=5).cosigners) == 5
    with pytest.raises(BadReceipt, match="5 nodes cosigned the log's head, 6 had to"):
        verify_receipt(many, verify, cosigners=6)
    few = Case(cosigners=NODES[:1]).data()
    assert len(verify_receipt(few, verify, cosigners=1).cosigners) == 1
    with pytest.raises(BadReceipt, match="1 nodes cosigned the log's head, 2 had to") as caught:
        verify_receipt(few, verify)
    assert caught.value.code == 4003


# -- every value, changed in every way


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value in a document, containers too, with where it is."""
    if path:
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from leaves(item, (*path, key))


def put(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed = deepcopy(document)
    holder: Any = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return changed


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def other_values(value: Any) -> Iterator[Any]:
    """What one might put in a value's place."""
    yield from (None, True, "zz", 1.5, {}, [[]])
    if isinstance(value, str):
        for digit in {0, 1, len(value) // 2, len(value) - 2, len(value) - 1}:
            if value:
                yield value[:digit] + ("0" if value[digit] != "0" else "1") + value[digit + 1 :]
        yield from (
            value + "00",
            value[2:],
            value[:-2],
            value[:-1],
            value.upper(),
            " " + value,
            value + "\n",
            value * 2,
            "",
        )
        yield [value]
    elif isinstance(value, int):
        yield from (value + 1, value - 1, -value, value + 2**32, 2**64, 10**30, -(10**30), float(value), str(value))
    elif isinstance(value, list):
        for index in range(len(value)):
            yield value[:index] + value[index + 1 :]
            yield [*value[: index + 1], *value[index:]]
            yield [*value, value[index]]
            yield [*value[:index], *value[index + 1 :], value[index]]
        yield from (value[::-1], [], [*value, "00" * 32], [*value, None], [*value, *value], {"0": value})
    elif isinstance(value, dict):
        for key in value:
            yield {k: v for k, v in value.items() if k != key}
            yield {(k if k != key else k + "_"): v for k, v in value.items()}
        yield from ({**value, "extra": 1}, {**value, "": None}, list(value.values()))


def same(one: Any, two: Any) -> bool:
    return json.dumps(one) == json.dumps(two)


def refuses(document: Any) -> bool:
    """Does it fail with an error of its own, and never with a crash?"""
    try:
        verify_receipt(json.dumps(document).encode(), verify)
    except BadReceipt:
        return True
    return False


def test_every_value_changed_in_any_way_fails() -> None:
    document = json.loads(good())
    paths = {path for path, _ in leaves(document)}
    assert len(paths) > 60
    assert {path[0] for path in paths} == set(msgspec.structs.asdict(build_receipt(**Case().parts())))
    tried = 0
    for path, value in (((), document), *leaves(document)):
        for other in other_values(value):
            if not same(other, value):
                tried += 1
                changed = put(document, path, other) if path else other
                assert refuses(changed), (path, value, other)
    assert tried > 1000


def test_any_two_values_swapped_fail() -> None:
    document = json.loads(good())
    everything = list(leaves(document))
    tried = 0
    for number, (one, left) in enumerate(everything):
        for two, right in everything[number + 1 :]:
            inside = two[: len(one)] == one
            if type(left) is type(right) and not inside and not same(left, right):
                tried += 1
                assert refuses(put(put(document, one, right), two, left)), (one, two)
    assert tried > 500


def test_every_key_said_twice_or_in_a_roundabout_way_fails() -> None:
    text = good().decode()
    keys = {path[-1] for path, _ in leaves(json.loads(text)) if isinstance(path[-1], str)}
    for key in sorted(keys):
        spelt = f'"\\u{ord(key[0]):04x}{key[1:]}":'
        assert f'"{key}":' in text
        for bad in (text.replace(f'"{key}":', f'"{key}": null, "{key}":', 1), text.replace(f'"{key}":', spelt, 1)):
            assert json.loads(bad)
            with pytest.raises(BadReceipt):
                verify_receipt(bad.encode(), verify)
    # The same value twice is no different: two readers could be made to disagree.
    position = f'"position": {json.loads(text)["position"]}'
    with pytest.raises(BadReceipt, match="twice"):
        verify_receipt(text.replace(position, f"{position}, {position}", 1).encode(), verify)


@pytest.mark.parametrize("bad", [b"", b"{}", b"[]", b"null", b"\xff", b"{" * 100_000, good()[:-1], good() + b"x"])
def test_what_is_no_receipt_is_refused(bad: bytes) -> None:
    with pytest.raises(BadReceipt):
        verify_receipt(bad, verify)


# -- forgeries whose signatures hold: each has an error of its own


def settled(**fields: Any) -> TaskSettled:
    return replace(BODY, **fields)


def drop(count: int) -> Callable[[dict[str, Any]], None]:
    def alter(document: dict[str, Any]) -> None:
        del document["event"]["chain"][-count:]

    return alter


OTHER_SPEC = replace(SPEC, quorum=1)
STRICT = replace(SPEC, quorum=3)
FREE = replace(SPEC, quorum=0)
FORGERIES: dict[str, tuple[Case, str]] = {
    "one vote, quorum two": (Case(settled(agreed=AGREED[:1])), "1 nodes agreed, 2 had to"),
    "body lowers the quorum": (Case(settled(quorum=1, agreed=AGREED[:1])), "1 nodes agreed, 2 had to"),
    "body raised the quorum": (Case(settled(quorum=3)), "2 nodes agreed, 3 had to"),
    "spec asks for more": (Case(settled(spec_hash=hash_id(pack(STRICT))), STRICT), "2 nodes agreed, 3 had to"),
    "spec asks for none": (
        Case(settled(spec_hash=hash_id(pack(FREE)), agreed=(), quorum=0), FREE, keep=2),
        "no quorum",
    ),
    "no vote": (Case(settled(agreed=())), "0 nodes agreed"),
    "a node twice": (Case(settled(agreed=(AGREED[0], signed_result(NODES[0], 2)))), "counts twice"),
    "a node on both sides": (
        Case(settled(dissent=(signed_result(NODES[1], 5, LIE),))),
        "counts twice",
    ),
    "another spec": (Case(spec=OTHER_SPEC), "spec is not the one that was settled"),
    "another task": (Case(settled(task=b"u" * 16)), "settles another task"),
    "an output nobody signed": (Case(settled(output=LIE)), "another output than the one settled"),
    "an agreed lie": (Case(settled(agreed=(*AGREED, signed_result(NODES[3], 3, LIE)))), "another output"),
    "an agreed failure": (Case(settled(agreed=(*AGREED, signed_result(NODES[3], 3, code=1)))), "another output"),
    "a dissent that agrees": (Case(settled(dissent=(signed_result(NODES[3], 3),))), "does not"),
    "a vote of another realm": (
        Case(settled(agreed=(AGREED[0], signed_result(NODES[1], 2, realm=b"q" * 16)))),
        "did not sign this result",
    ),
    "a vote for another task": (
        Case(settled(agreed=(AGREED[0], signed_result(NODES[1], 2, task=b"u" * 16)))),
        "agreed is not what the event says",
    ),
    "a vote that was not signed": (
        Case(settled(agreed=(AGREED[0], replace(AGREED[1], sig=AGREED[0].sig)))),
        "did not sign this result",
    ),
    "a dissent that was not signed": (
        Case(settled(dissent=(replace(DISSENT[0], sig=bytes(64)),))),
        "did not sign this result",
    ),
    "a failed task": (Case(settled(state="failed")), "failed, not completed"),
    "a completed task with an error": (
        Case(settled(code=4001, agreed=tuple(signed_result(n, s, code=4001) for s, n in enumerate(NODES[:2])))),
        "not completed",
    ),
    "another kind": (Case(kind="note"), "not task.settled"),
    "another actor": (Case(actor=MALLORY), "not the authority's"),
    "another realm": (Case(event_realm=b"q" * 16), "another realm"),
    "a head by another": (Case(head_signer=MALLORY), "someone else than the authority"),
    "a head of another realm": (Case(head_realm=b"q" * 16), "signature does not hold"),
    "the authority as a cosigner": (Case(cosigners=[AUTHORITY, NODES[0]]), "cosigns its own head"),
    "a chain cut short": (Case(alter=drop(1)), "does not cover"),
    "no chain": (Case(alter=drop(3)), "does not cover"),
    "a chain longer than a group": (
        Case(alter=lambda d: d["event"]["chain"].extend(d["event"]["chain"] * 1500)),
        "longer than a group",
    ),
    "a link left out": (Case(alter=lambda d: d["event"]["chain"].pop(1)), "chain is broken"),
    "a version to come": (Case(alter=lambda d: d.update(version=2)), "version 2"),
    "the realm of another authority": (
        Case(alter=lambda d: d.update(authority=MALLORY.public.hex())),
        "realm is not that of its authority",
    ),
    "a body that does not fit": (Case(alter=lambda d: d["event"].update(salt="00" * 16)), "does not fit its hash"),
    "a place it is not in": (Case(alter=lambda d: d.update(position=6)), "not at position 6"),
    "a cosignature of another head": (
        Case(alter=lambda d: d["head"]["cosigned"][0].__setitem__(1, d["head"]["cosigned"][1][1])),
        "did not sign this head",
    ),
    "a cosigner twice": (
        Case(alter=lambda d: d["head"]["cosigned"].append(d["head"]["cosigned"][1])),
        "names a node twice",
    ),
    "numbers beyond all bounds": (Case(alter=lambda d: d["head"].update(epoch=2**70)), "too large"),
    "capital letters": (Case(alter=lambda d: d.update(nonce="AB" * 16)), "nonce is not lower-case"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_whose_signatures_hold_is_refused_and_the_error_says_why(name: str) -> None:
    case, why = FORGERIES[name]
    with pytest.raises(BadReceipt, match=why):
        verify_receipt(case.data(), verify)


def test_a_chain_through_another_actors_event_is_broken() -> None:
    parts = Case().parts()
    settling = parts["sealed"]
    chain = Chain(REALM, MALLORY, b"k" * 32, 5, hash_id(settling.head), 0)
    later = sign_group([chain.draft("note", b"", Noted("n", b""), hash_id(b"g"), NOW * 2)[2]], MALLORY)
    data = to_json(build_receipt(**{**parts, "chain": later}))
    with pytest.raises(BadReceipt, match="chain is broken"):
        verify_receipt(data, verify)


def test_keys_known_beforehand_are_the_only_ones_accepted() -> None:
    everybody = frozenset(node.public for node in NODES)
    with pytest.raises(BadReceipt, match="another authority"):
        verify_receipt(good(), verify, authority=MALLORY.public)
    for node, why in ((NODES[0], "node .* not among"), (NODES[2], "not among"), (NODES[3], "cosigner .* not among")):
        with pytest.raises(BadReceipt, match=why) as caught:
            verify_receipt(good(), verify, nodes=everybody - {node.public})
        assert node.public.hex() in str(caught.value)


def test_a_receipt_needs_a_body_and_a_signature() -> None:
    parts = Case(after=0).parts()
    sealed: Sealed = parts["sealed"]
    for bad in (replace(sealed, body=None), replace(sealed, sig=None)):
        with pytest.raises(Exception, match="erased, or nothing signed"):
            build_receipt(**{**parts, "sealed": bad})
    head: SignedHead = parts["head"]
    with pytest.raises(ProtocolError):
        build_receipt(**{**parts, "head": replace(head, heads=head.heads * 2)})


def test_a_result_is_signed_in_its_realm_with_everything_in_it() -> None:
    result = AGREED[0]
    assert result_holds(REALM, result, verify)
    assert not result_holds(b"q" * 16, result, verify)
    others: dict[str, Any] = {
        "task": b"u" * 16,
        "slot": 9,
        "epoch": 9,
        "node": NODES[1].public,
        "code": 1,
        "output": LIE,
        "usage": (12, 7, 2048, 91),
        "sig": bytes(64),
    }
    assert set(others) == set(Result.__struct_fields__)
    for name, value in others.items():
        assert not result_holds(REALM, replace(result, **{name: value}), verify)
    assert result_message(REALM, result) == result_message(REALM, replace(result, sig=b""))


def test_a_realms_id_is_its_founders_alone() -> None:
    assert len(REALM) == 16
    assert hash_id(b"quorate realm 1\0" + AUTHORITY.public + NONCE)[:16] == REALM
    assert len({REALM, realm_id(MALLORY.public, NONCE), realm_id(AUTHORITY.public, b"m" * 16)}) == 3
