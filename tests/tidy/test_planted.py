"""Each rule is shown to fail: a clean small house, one violation planted, and exactly that rule sees it."""

import subprocess
from pathlib import Path

import pytest

from tidy.rules import RULES
from tidy.tree import Tree

DOOR = '"""A door."""\n\n__all__ = []\n'
CLEAN = {
    path: text
    for part in (Path(__file__).parent / "clean_house.txt").read_text().split("=== ")[1:]
    for path, text in [part.split("\n", 1)]
}
"""A small house that keeps every rule: files by path."""


def _module(*lines: str) -> str:
    return "\n".join(('"""A module."""', "", *lines, ""))


def _function(*lines: str) -> str:
    return _module("def step(seen: set[int], made: frozenset[int]) -> object:", *(f"    {line}" for line in lines))


WORK, BASE, MODEL = "src/quorate/work/extra.py", "src/quorate/base/extra.py", "src/quorate/model/extra.py"
MACHINE, WINDOWS = "src/quorate/services/node/machine.py", "src/quorate/services/node/windows.py"
DRIVER, REST, APP = "src/quorate/services/node/driver.py", "src/quorate/edges/rest/extra.py", "src/quorate/app/extra.py"
LONG = "\n".join(["VALUE = 1"] * 601) + "\n"

PLANTS: tuple[tuple[str, str, str], ...] = (
    ("unknown_rooms", "src/quorate/attic/__init__.py", DOOR),
    ("unknown_rooms", "src/quorate/attic.py", _module("X = 1")),
    ("forbidden_rooms", BASE, _module("from quorate.model import Event")),
    ("forbidden_rooms", MODEL, _module("from quorate.ports import Clock")),
    ("forbidden_rooms", WORK, _module("from quorate.ports import Clock")),
    ("forbidden_rooms", WORK, _module("from ..ports import Clock")),
    ("forbidden_rooms", "src/quorate/dispatch/__init__.py", _module("from quorate.work import fold", "__all__ = []")),
    ("forbidden_rooms", MACHINE, _module("from quorate.ports import Clock")),
    ("forbidden_rooms", DRIVER, _module("from quorate.adapters.boxes import seal")),
    ("forbidden_rooms", REST, _module("from quorate.work import fold")),
    ("forbidden_rooms", "src/quorate/adapters/extra.py", _module("from quorate.work import fold")),
    ("neighbours", REST, _module("import json", "from quorate.edges.mcp import x")),
    ("neighbours", "src/quorate/edges/http/extra.py", _module("from quorate.edges.rest import PORT")),
    ("neighbours", "src/quorate/packs/a/__init__.py", _module("from quorate.packs.b import x", "__all__ = []")),
    ("third_party", BASE, _module("import httpx")),
    ("third_party", MODEL, _module("from blake3 import blake3")),
    ("third_party", WORK, _module("import scipy.optimize")),
    ("third_party", MACHINE, _module("import structlog")),
    ("hidden_names", APP, _module("from quorate.work.fold import fold")),
    ("hidden_names", APP, _module("from quorate.work import late")),
    ("hidden_names", APP, _module("import quorate.work")),
    ("hidden_names", APP, _module("from quorate.base.ids import _SECRET")),
    ("hidden_names", APP, _module("from quorate.model import NO_ID")),
    ("hidden_names", APP, _module("from quorate.services.node.driver import MADE")),
    ("circles", BASE, _module("from quorate.base import extra")),
    ("circles", "src/quorate/base/ids.py", _module("from quorate.base import other", "NO_ID = b''", "_SECRET = b''")),
    ("circles", "src/quorate/model/events.py", _module("from quorate.model import Event")),
    ("impure_imports", WORK, _module("import time")),
    ("impure_imports", WORK, _module("from random import Random")),
    ("impure_imports", WORK, _module("from numpy import random")),
    ("impure_imports", MODEL, _module("import os.path")),
    ("impure_imports", MACHINE, _module("import asyncio")),
    ("impure_imports", WINDOWS, _module("from datetime import datetime", "SIZE = 4")),
    ("impure_calls", WORK, _function("return open('state')")),
    ("impure_calls", WORK, _function("return hash('text')")),
    ("impure_calls", WORK, _module("import numpy as np", "DICE = np.random.default_rng(1)")),
    ("unsorted_sets", WORK, _function("for dot in seen:", "    made = dot")),
    ("unsorted_sets", WORK, _function("return [x for x in {1, 2}]")),
    ("unsorted_sets", WORK, _function("return tuple(x for x in seen | made)")),
    ("unsorted_sets", WORK, _function("return list(set((1, 2)))")),
    ("unsorted_sets", WORK, _function("return [*made.union(seen)]")),
    ("unsorted_sets", WORK, _function("return ','.join({'a', 'b'})")),
    ("unsorted_sets", MACHINE, _function("for x in frozenset((1, 2)):", "    print_ = x")),
    ("signed_floats", MODEL, _module("class Vote:", "    level: tuple[float, ...]")),
    ("long_files", WORK, _module("VALUE = 0") + LONG),
    ("long_files", "tests/test_long.py", LONG),
    ("long_files", DRIVER, _module(*["VALUE = 0"] * 300)),
    ("long_files", "README.md", "line\n" * 150),
    ("long_files", "ARCHITECTURE.md", "line\n" * 300),
    ("long_functions", WORK, _function(*["made = seen"] * 70)),
    ("nameless", "src/quorate/work/util.py", _module("X = 1")),
    ("nameless", "tests/helpers.py", _module("X = 1")),
    ("nameless", "src/quorate/adapters/common/__init__.py", DOOR),
    ("missing_docstrings", WORK, "X = 1\n"),
    ("missing_doors", "src/quorate/dispatch/leases.py", _module("X = 1")),
    ("missing_doors", "src/quorate/dispatch/__init__.py", _module("X = 1")),
    ("local_imports", WORK, _function("from quorate.base import ids", "return ids")),
    ("local_imports", DRIVER, _function("import json", "return json")),
    ("undone", WORK, _module("# TODO: later")),
    ("undone", "docs/plan.md", "FIXME\n"),
    ("registry_hosts", "web/package-lock.json", '{"resolved": "https://registry.npmjs.org/uplot"}\n'),
    ("registry_hosts", "Makefile", "setup:\n\tpip install --index-url http://10.0.0.1/simple x\n"),
    ("machine_paths", "docs/start.md", "cd /home/ada/quorate\n"),
    ("machine_paths", WORK, _module('ROOT = "/work/main"')),
    ("how_it_was_made", "docs/start.md", "Written by an AI.\n"),
    ("how_it_was_made", WORK, _module("# See issue 12.")),
)


def _house(root: Path, files: dict[str, str]) -> Tree:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return Tree(root)


def _failing(tree: Tree) -> set[str]:
    return {rule.__name__ for rule in RULES if rule(tree)}


def test_a_clean_house_breaks_no_rule(tmp_path: Path) -> None:
    tree = _house(tmp_path, CLEAN)
    assert {rule.__name__: rule(tree) for rule in RULES if rule(tree)} == {}


def test_an_empty_house_breaks_no_rule(tmp_path: Path) -> None:
    assert _failing(Tree(tmp_path)) == set()


@pytest.mark.parametrize("gone", sorted({path.split("/")[2] for path in CLEAN if path.count("/") > 2}))
def test_a_missing_room_is_no_violation(gone: str, tmp_path: Path) -> None:
    files = {path: text for path, text in CLEAN.items() if not path.startswith(f"src/quorate/{gone}/")}
    assert _failing(_house(tmp_path, files)) == set()


@pytest.mark.parametrize(("rule", "path", "text"), PLANTS, ids=[f"{i}-{plant[0]}" for i, plant in enumerate(PLANTS)])
def test_a_planted_violation_is_seen_by_its_rule_alone(rule: str, path: str, text: str, tmp_path: Path) -> None:
    doors = {
        f"{parent}/__init__.py": DOOR for parent in ("src/quorate/packs", "src/quorate/adapters", "src/quorate/edges")
    }
    extra = {"src/quorate/base/other.py": _module("from quorate.base.ids import NO_ID")} if rule == "circles" else {}
    assert _failing(_house(tmp_path, {**doors, **CLEAN, **extra, path: text})) == {rule}


def test_every_rule_is_shown_to_fail() -> None:
    assert {rule for rule, _, _ in PLANTS} == {rule.__name__ for rule in RULES}


def test_what_git_ignores_is_not_judged(tmp_path: Path) -> None:
    tree = _house(tmp_path, {**CLEAN, ".gitignore": "/scratch/\n", "scratch/notes.md": "TODO\n", "new.md": "TODO\n"})
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    assert _failing(tree) == {"undone"}
    (tmp_path / "new.md").unlink()
    assert _failing(Tree(tmp_path)) == set()
