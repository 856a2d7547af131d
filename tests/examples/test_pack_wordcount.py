"""The example pack, end to end: loaded by name in a coordinator and its nodes; and packs that do not fit."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from live import QUORATE, Live, refused
from processes import Processes, until
from quorate.app.packs import load_packs
from quorate.base.errors import QuorateError
from quorate.model import Operation
from quorate.ports import Kind, Pack, Panel

HERE = Path(__file__).parents[2] / "examples" / "pack_wordcount"
ENV = {"PYTHONPATH": str(HERE)}
PACK = ("--pack", "wordcount:pack")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(HERE))
    yield
    sys.modules.pop("wordcount", None)


def job(live: Live, *texts: str, **more: Any) -> list[str]:
    tasks = [
        {"name": str(i), "executor": "wordcount", "validator": "wordcount", "input": {"text": text}, **more}
        for i, text in enumerate(texts)
    ]
    return list(live.post("/jobs", {"name": "count", "tasks": tasks})["tasks"].values())


def counts(live: Live, query: str = "") -> list[dict[str, Any]]:
    return list(live.get(f"/wordcounts{query}")["items"])


def test_the_pack_from_end_to_end(processes: Processes, tmp_path: Path) -> None:
    live = Live(processes, tmp_path / "data", *PACK, env=ENV)
    for name in ("one", "two"):
        live.node(name, "--slots", "2", *PACK)
    first, second = job(live, "To be, or not to be", "Größe größe GRÖSSE", replicas=2, quorum=2)
    until(lambda: len(counts(live)) == 2, "both were counted")
    by_task = {one["task"]: one for one in counts(live)}
    assert by_task[first] == {"task": first, "words": 6, "distinct": 4, "top": "be 2, to 2, not 1, or 1"}
    assert by_task[second]["top"] == "grösse 3" and [one["task"] for one in counts(live, "?least=4")] == [first]
    refused(live.request("GET", "/wordcounts?least=-1"), 1002, 400)
    refused(live.request("GET", "/wordcounts", token=""), 1003, 401)
    assert live.get("/panels")["items"] == [
        {"name": "wordcounts", "title": "Word counts", "path": "/api/v1/wordcounts"}
    ]
    paths = live.request("GET", "/docs/openapi.json").json()["paths"]
    assert paths["/api/v1/wordcounts"]["get"]["operationId"] == "wordcount_list"
    event = live.get("/events?kind=wordcount.counted")["items"][0]
    assert event["subject"] in (first, second) and event["actor"] == live.authority
    wrong = job(live, "never mind", input={"words": 7}, retries=0)
    assert live.get(f"/jobs/{live.get(f'/tasks/{wrong[0]}')['job']}/wait")["failed"] == 1
    for kill in (True, False):  # what was folded is there again, and nothing is counted twice
        live.restart(kill=kill)
        assert {one["task"]: one for one in counts(live)} == by_task
    (third,) = job(live, "one more")
    until(lambda: len(counts(live)) == 3, "the service goes on")
    assert counts(live)[0]["task"] == third
    live.verify_log()
    assert live.process.stop() == 0
    without = processes.start(QUORATE, "up", "--data", live.data, "--port", "0", "--json", name="without the pack")
    said = without.wait()
    assert said == 1 and "wordcount" in without.log(), without.log()


def test_without_the_pack_its_executor_is_unknown_and_its_route_is_not_there(swarm: Live) -> None:
    task = {"title": "count", "executor": "wordcount", "input": {"text": "x"}}
    refused(swarm.request("POST", "/tasks", json=task), 1008, 422)
    refused(swarm.request("GET", "/wordcounts"), 1000, 404)


def test_the_pack_says_where_it_is_wrong(here: None) -> None:
    assert [pack.name for pack in load_packs(["wordcount:pack"])] == ["wordcount"]
    for name in ("wordcount:nothing", "no_such_module:pack", "wordcount:COUNTED", "wordcount:TOP", ":", ""):
        with pytest.raises(QuorateError) as error:
            load_packs([name])
        assert error.value.code == 1002


def given(name: str, made: Pack, monkeypatch: pytest.MonkeyPatch) -> str:
    """`module:function` of a pack made here."""
    module = type(sys)(name)
    module.pack = lambda: made  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, name, module)
    return f"{name}:pack"


def test_nothing_takes_the_place_of_something_else(here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    good = load_packs(["wordcount:pack"])[0]
    operation, executor, validator = good.operations[0], good.executors[0], good.validators[0]

    class Named:
        def __init__(self, name: str, like: Any) -> None:
            self.name, self._like = name, like

        def __getattr__(self, name: str) -> Any:
            return getattr(self._like, name)

    kind = good.kinds[0]
    wrong: dict[str, tuple[Pack, int]] = {
        "another API": (replace(good, api=99), 1008),
        "our name": (replace(good, name="quorate", kinds=()), 1002),
        "a kind of ours": (replace(good, kinds=(replace(kind, name="task.settled"),)), 1002),
        "a family of ours": (Pack("task", kinds=(Kind("task.mine", kind.body, kind.fold, kind.initial),)), 1002),
        "our executor": (replace(good, executors=(Named("command", executor),)), 1002),
        "our validator": (replace(good, validators=(Named("exact", validator),)), 1002),
        "our operation": (replace(good, operations=(replace(operation, name="status"),), panels=()), 1002),
        "our route": (replace(good, operations=(replace(operation, rest=("GET", "/tasks")),)), 1002),
        "our tool": (replace(good, operations=(replace(operation, mcp=("task_get",)),)), 1002),
        "a right that no role has": (replace(good, operations=(replace(operation, right="all:do"),)), 1002),
        "an open write": (
            replace(good, operations=(replace(operation, right="public", rest=("POST", "/w")),), panels=()),
            1002,
        ),
        "a panel of nothing": (replace(good, panels=(Panel("p", "P", "nothing"),)), 1002),
    }
    for what, (made, code) in wrong.items():
        with pytest.raises(QuorateError) as error:
            load_packs([given("wrong_pack", made, monkeypatch)])
        assert error.value.code == code, what
    with pytest.raises(QuorateError, match="wordcount"):
        load_packs(["wordcount:pack", "wordcount:pack"])
    other = replace(good, name="other", kinds=(), operations=(), panels=(), services=())
    with pytest.raises(QuorateError, match="executor"):
        load_packs(["wordcount:pack", given("other_pack", other, monkeypatch)])
    assert isinstance(operation, Operation)


def test_the_readme_speaks_of_what_is_there() -> None:
    text = (HERE / "README.md").read_text()
    spec = json.loads(text.split("```json\n")[1].split("```")[0])
    assert spec["tasks"][0]["executor"] == "wordcount"
    assert "wordcount:pack" in text and (HERE / "wordcount.py").exists()
