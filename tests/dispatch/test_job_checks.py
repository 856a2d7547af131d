"""What is refused as a job, with which code, and how an accepted one is cut into events."""

from collections.abc import Callable
from typing import Any

import pytest

from dispatch.swarm import Swarm, spec, task_id
from quorate.base.codec import pack
from quorate.base.errors import QuorateError
from quorate.base.limits import EVENT_BODY_MAX_BYTES, JOB_CHUNK_TASKS, JOB_TASKS_MAX, LIVE_TASKS_MAX
from quorate.dispatch import Dispatch
from quorate.model import TaskSpec

JOB = b"j" * 16


def draft(tasks: list[TaskSpec], names: list[str] | None = None, name: str = "job", job: bytes = JOB) -> Any:
    return Dispatch().draft_job(job, name, tasks, names or [f"t{t.id[-1]}" for t in tasks], "idem", "me")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"replicas": 0}, 1002),
        ({"replicas": 17, "quorum": 1}, 1002),
        ({"quorum": 0}, 1002),
        ({"replicas": 2, "quorum": 3}, 4000),
        ({"retries": -1}, 1002),
        ({"retries": 101}, 1002),
        ({"timeout_ms": 99}, 1002),
        ({"timeout_ms": 10**9}, 1002),
        ({"budget": -1}, 1002),
        ({"budget": 2**63}, 1002),
        ({"validator": "gut feeling"}, 1008),
        ({"executor": ""}, 1002),
        ({"executor": "x" * 201}, 1002),
        ({"executor": "nul\x00"}, 1002),
        ({"needs": ("a",) * 17}, 1002),
        ({"needs": ("line\nfeed",)}, 1002),
        ({"needs": ("",)}, 1002),
        ({"needs": ("\ud800",)}, 1002),
        ({"idem": "k" * 129}, 1002),
        ({"idem": "\x1b[2J"}, 1002),
        ({"deps": (task_id(9),)}, 4000),
        ({"deps": (task_id(2), task_id(2))}, 4000),
        ({"deps": (task_id(1),)}, 4000),
    ],
)
def test_a_task_that_cannot_be_is_refused_with_its_name(fields: dict[str, Any], code: int) -> None:
    with pytest.raises(QuorateError) as caught:
        draft([spec(1, **fields), spec(2)])
    assert caught.value.code == code
    assert "t1" in caught.value.message


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: draft([]), 1002),
        (lambda: draft([spec(1)] * 2), 4000),
        (lambda: draft([spec(n) for n in range(JOB_TASKS_MAX + 1)], ["t"] * (JOB_TASKS_MAX + 1)), 1007),
        (lambda: draft([spec(1)], ["a", "b"]), 1002),
        (lambda: draft([spec(1)], ["\x00"]), 1002),
        (lambda: draft([spec(1)], name="n" * 201), 1002),
        (lambda: draft([spec(1)], name="a\u2028b"), 1002),
        (lambda: draft([spec(1)], job=b"short"), 1002),
        (lambda: draft([TaskSpec(b"short", "work", bytes(32))]), 1002),
        (lambda: draft([TaskSpec(task_id(1), "work", b"short")]), 1002),
    ],
)
def test_a_job_that_cannot_be_is_refused(call: Callable[[], Any], code: int) -> None:
    with pytest.raises(QuorateError) as caught:
        call()
    assert caught.value.code == code


def test_circular_deps_are_named() -> None:
    tasks = [spec(1), spec(2, deps=(task_id(1), task_id(4))), spec(3, deps=(task_id(2),)), spec(4, deps=(task_id(3),))]
    with pytest.raises(QuorateError) as caught:
        draft([*tasks, spec(5, deps=(task_id(4),))])
    assert caught.value.code == 4000
    assert caught.value.message in (
        "circular deps: t2 -> t4 -> t3 -> t2",
        "circular deps: t4 -> t3 -> t2 -> t4",
        "circular deps: t3 -> t2 -> t4 -> t3",
    )


def test_names_of_any_language_are_welcome() -> None:
    (body,) = draft([spec(1), spec(2)], ["tâche 任务 👩\u200d🔬", ""], name="")
    assert body.names[0].startswith("tâche")


def test_chunks_follow_each_other_and_fit() -> None:
    count = JOB_TASKS_MAX
    leaves = [spec(n) for n in range(1, count)]
    reduce = spec(count, deps=tuple(leaf.id for leaf in leaves))
    bodies = draft([*leaves, reduce], ["n" * 200] * count)
    assert [body.first for body in bodies] == [sum(len(b.tasks) for b in bodies[:i]) for i in range(len(bodies))]
    assert sum((body.tasks for body in bodies), ()) == (*leaves, reduce)
    for body in bodies:
        assert 0 < len(body.tasks) <= JOB_CHUNK_TASKS
        assert len(body.tasks) == len(body.names)
        assert len(pack(body)) < EVENT_BODY_MAX_BYTES
        assert (body.total, body.idem, body.owner) == (count, "idem", "me")


def test_chunks_are_cut_by_bytes_too() -> None:
    leaves = [spec(n) for n in range(1, 5001)]
    deps = tuple(leaf.id for leaf in leaves)
    wide = [spec(6000 + n, deps=deps) for n in range(30)]
    bodies = draft([*leaves, *wide], ["x"] * 5030)
    assert all(len(pack(body)) < EVENT_BODY_MAX_BYTES for body in bodies)
    assert sum((body.tasks for body in bodies), ()) == (*leaves, *wide)
    with pytest.raises(QuorateError) as caught:
        draft([*leaves, *(spec(6000 + n, deps=deps) for n in range(120))], ["x"] * 5120)
    assert caught.value.code == 1007


def test_what_is_there_already_is_a_conflict_and_the_live_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm = Swarm(0)
    swarm.submit(1, [spec(1), spec(2)])
    dispatch = swarm.dispatch.one
    for job, tasks in ((task_id(1 << 64 | 1), [spec(3)]), (JOB, [spec(2)])):
        with pytest.raises(QuorateError) as caught:
            dispatch.draft_job(job, "", tasks, [""], "")
        assert caught.value.code == 1006
    assert LIVE_TASKS_MAX >= 100_000
    monkeypatch.setattr("quorate.dispatch.core.LIVE_TASKS_MAX", 3)
    assert dispatch.draft_job(JOB, "", [spec(3)], [""], "")
    with pytest.raises(QuorateError) as caught:
        dispatch.draft_job(JOB, "", [spec(3), spec(4)], ["", ""], "")
    assert caught.value.code == 1004
