"""Every type that crosses rooms survives its journey, is frozen, and lies in the order that was fixed."""

import re
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from model.structs import structs, values
from quorate.base.codec import from_json, pack, to_json, unpack
from quorate.base.errors import ProtocolError

STRUCTS = tuple(structs())
ON_THE_WIRE = tuple(kind for kind in STRUCTS if kind.__struct_config__.array_like)
AT_THE_EDGES = tuple(kind for kind in STRUCTS if kind.__module__.endswith((".views", ".receipts")))
LAYOUT = Path(__file__).parent / "layout.txt"


def _name(kind: type[Struct]) -> str:
    return f"{kind.__module__.removeprefix('quorate.model.')}.{kind.__name__}"


every = pytest.mark.parametrize("kind", STRUCTS, ids=_name)


def test_the_model_is_really_found() -> None:
    assert {"events.Event", "tasks.TaskSpec", "link.Hello", "bodies.TaskSettled", "views.TaskView"} <= set(
        map(_name, STRUCTS)
    )


@every
@settings(derandomize=True, deadline=None, max_examples=25)
@given(data=st.data())
def test_a_value_comes_back_as_it_was_packed(kind: type[Struct], data: st.DataObject) -> None:
    value = data.draw(values(kind))
    packed = pack(value)
    assert unpack(packed, kind) == value
    if kind in ON_THE_WIRE:
        assert pack(unpack(packed, kind)) == packed


@pytest.mark.parametrize("kind", AT_THE_EDGES, ids=_name)
@settings(derandomize=True, deadline=None, max_examples=25)
@given(data=st.data())
def test_what_leaves_through_an_edge_survives_json(kind: type[Struct], data: st.DataObject) -> None:
    value = data.draw(values(kind))
    assert from_json(to_json(value), kind) == value


@every
def test_a_value_cannot_be_changed(kind: type[Struct]) -> None:
    assert kind.__struct_config__.frozen


@pytest.mark.parametrize("kind", ON_THE_WIRE, ids=_name)
def test_equal_values_are_equal_bytes_on_the_wire(kind: type[Struct]) -> None:
    # A set or a dict is packed in the order in which it was filled, or hashed.
    assert not re.search(r"\b(frozenset|set|dict|float|Any)\b", " ".join(map(str, get_type_hints(kind).values())))


@pytest.mark.parametrize("kind", ON_THE_WIRE, ids=_name)
def test_the_order_on_the_wire_is_the_one_that_was_fixed(kind: type[Struct], rewrite: bool) -> None:
    """A change here means that older peers and older logs no longer read: add fields last, with a default."""
    if rewrite:
        LAYOUT.write_text("".join(f"{_name(k)}: {' '.join(k.__struct_fields__)}\n" for k in ON_THE_WIRE))
    fixed = dict(line.split(": ", 1) for line in LAYOUT.read_text().splitlines())
    assert fixed.get(_name(kind)) == " ".join(kind.__struct_fields__)


def test_no_type_of_the_layout_was_removed() -> None:
    assert {line.split(":")[0] for line in LAYOUT.read_text().splitlines()} == set(map(_name, ON_THE_WIRE))


@pytest.mark.parametrize("kind", ON_THE_WIRE, ids=_name)
@settings(derandomize=True, deadline=None, max_examples=20)
@given(data=st.data())
def test_noise_in_place_of_a_field_is_a_coded_error_or_a_value(kind: type[Struct], data: st.DataObject) -> None:
    fields = msgspec.msgpack.decode(pack(data.draw(values(kind))))
    if fields:
        fields[data.draw(st.integers(0, len(fields) - 1))] = data.draw(
            st.sampled_from([None, -1, 2**64 - 1, 1.5, "text", b"bytes", [], [[]], {}, True])
        )
    try:
        assert isinstance(unpack(pack(fields), kind), kind)
    except ProtocolError as error:
        assert kind.__name__ in error.message


@pytest.mark.parametrize("kind", [k for k in AT_THE_EDGES if ".receipts" in k.__module__], ids=_name)
@settings(derandomize=True, deadline=None, max_examples=10)
@given(data=st.data())
def test_a_receipt_refuses_what_it_does_not_know(kind: type[Struct], data: st.DataObject) -> None:
    fields: dict[str, Any] = msgspec.json.decode(to_json(data.draw(values(kind))))
    with pytest.raises(ProtocolError, match="unknown field"):
        from_json(to_json(fields | {"note": "trust me"}), kind)
