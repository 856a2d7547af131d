"""Limits are numbers, and a change that contradicts another limit does not start."""

import ast
import inspect
from typing import Any

import pytest

from quorate.base import limits

SOURCE = inspect.getsource(limits)
NAMES = sorted(name for name in vars(limits) if name.isupper() and not name.startswith("_"))


def _relations() -> list[tuple[str, list[str]]]:
    """Each relation's reason, and the limits that it speaks of."""
    for node in ast.parse(SOURCE).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_RELATIONS":
            assert isinstance(node.value, ast.Tuple)
            rows = [row for row in node.value.elts if isinstance(row, ast.Tuple)]
            named = [[part.id for part in ast.walk(row.elts[0]) if isinstance(part, ast.Name)] for row in rows]
            return [(ast.literal_eval(row.elts[1]), names) for row, names in zip(rows, named, strict=True)]
    raise AssertionError("limits.py has no _RELATIONS")


def _with(name: str, value: int, check: bool) -> dict[str, Any]:
    """The module's namespace with one limit changed; `check` runs its own check at the end."""
    changed = []
    for node in ast.parse(SOURCE).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            node.value = ast.Constant(value)
        if check or not isinstance(node, ast.For):
            changed.append(node)
    space: dict[str, Any] = {}
    exec(compile(ast.fix_missing_locations(ast.Module(changed, [])), "limits.py", "exec"), space)
    return space


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_is_a_positive_integer(name: str) -> None:
    value = getattr(limits, name)
    assert type(value) is int
    assert value > 0


def test_units_stand_last() -> None:
    units = ("_BYTES", "_MS", "_NS", "_S", "_CHARS", "_MAX", "_NS")
    timed = [name for name in NAMES if any(word in name for word in ("TIMEOUT", "HEARTBEAT", "TTL", "GRACE", "DRAIN"))]
    assert timed
    assert all(name.endswith(units) for name in timed)


@pytest.mark.parametrize(("why", "names"), _relations(), ids=lambda value: value if isinstance(value, str) else "")
def test_each_relation_can_be_broken_by_one_limit_and_is_then_seen(why: str, names: list[str]) -> None:
    broken = [
        (name, value)
        for name in names
        for value in (0, 10**15)
        if not {reason: holds for holds, reason in _with(name, value, check=False)["_RELATIONS"]}[why]
    ]
    assert broken, f"no value of {names} breaks {why!r}: it relates nothing"
    with pytest.raises(AssertionError, match="limits contradict each other"):
        _with(*broken[0], check=True)


def test_every_relation_holds_now() -> None:
    assert all(holds for holds, _ in limits._RELATIONS)
    assert len(limits._RELATIONS) == len(_relations())
