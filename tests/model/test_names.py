"""The names and numbers that others rely on: event kinds, message types, task states."""

import re
from typing import get_type_hints

import pytest
from msgspec import Struct

from quorate import model
from quorate.model import KINDS, TERMINAL, MessageType, TaskState, bodies, effects

PURE_OWNERS = {"security", "work", "dispatch", "economy", "learning", "memory", "vision", "protocols"}
OPEN_SWARM = [
    "node_announcement",
    "node_registration",
    "capability_update",
    "task_assignment",
    "task_progress",
    "task_result",
    "task_cancellation",
    "quality_request",
    "peer_review",
    "consensus_vote",
    "token_transaction",
    "resource_billing",
    "health_check",
    "performance_metrics",
    "system_update",
]
"""The message types in the order of open-swarm section 2.3.2."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_a_body_of_its_own_and_one_owner(kind: str) -> None:
    body, owner, _ = KINDS[kind]
    assert re.fullmatch(r"[a-z]+(\.[a-z]+)?", kind)
    assert owner in PURE_OWNERS
    assert body.__struct_config__.frozen
    assert body.__struct_config__.array_like


def test_every_body_is_the_body_of_exactly_one_kind() -> None:
    defined = {v for v in vars(bodies).values() if isinstance(v, type) and v.__module__ == bodies.__name__}
    named = [body for body, _, _ in KINDS.values()]
    assert set(named) == {body for body in defined if issubclass(body, Struct)}
    assert len(named) == len(set(named))


def test_only_the_work_tree_and_notes_are_written_without_the_authority() -> None:
    free = {kind for kind, (_, _, authority_only) in KINDS.items() if not authority_only}
    assert free == {kind for kind in KINDS if kind.startswith("work.")} | {"note"}
    assert all(KINDS[kind][1] == "work" for kind in free)


def test_run_state_and_rights_are_never_merged() -> None:
    for kind, (_, owner, authority_only) in KINDS.items():
        assert authority_only or owner not in ("dispatch", "security"), kind


def test_the_first_fifteen_message_types_are_those_of_open_swarm() -> None:
    assert [MessageType(number).name.lower() for number in range(1, 16)] == OPEN_SWARM
    assert all(number >= 32 for number in MessageType if number > 15)
    assert max(MessageType) < 2**16  # two bytes of the header


def test_a_task_has_seven_states_and_three_are_final() -> None:
    names = "queued assigned executing validating completed failed cancelled"
    assert [state.value for state in TaskState] == names.split()
    assert {"completed", "failed", "cancelled"} == TERMINAL


def test_the_room_offers_what_it_lists() -> None:
    assert len(set(model.__all__)) == len(model.__all__)
    assert all(hasattr(model, name) for name in model.__all__)
    assert {body.__name__ for body, _, _ in KINDS.values()} <= set(model.__all__)


def test_every_effect_is_a_frozen_type_of_its_own() -> None:
    union = set(model.Effect.__args__)
    named = {v for v in vars(effects).values() if isinstance(v, type) and v.__module__ == effects.__name__}
    assert union == named - {effects.Row}
    assert all(get_type_hints(kind) for kind in union)
