"""The rules of the house, walked over this checkout."""

from pathlib import Path

import pytest

from tidy.rules import RULES, Rule
from tidy.tree import Tree

HOUSE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def house() -> Tree:
    return Tree(HOUSE)


def test_the_tree_is_really_read(house: Tree) -> None:
    assert {"quorate.base.limits", "quorate.model.events", "quorate.ports.storage"} <= set(house.modules)
    assert "pyproject.toml" in house.texts


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_is_tidy(rule: Rule, house: Tree) -> None:
    violations = rule(house)
    assert not violations, f"{rule.__doc__}\n" + "\n".join(violations)
