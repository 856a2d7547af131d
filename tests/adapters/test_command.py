"""The `command` executor: what it is asked, what it refuses, what it answers."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from adapters.box import MemoryBox
from adapters.confinement import left, new_mark, running, sandboxes
from quorate.adapters.executors import Command
from quorate.adapters.executors.staging import dep_name, parse
from quorate.adapters.sandbox import Findings, Sandbox
from quorate.base import limits
from quorate.base.codec import to_json
from quorate.base.errors import DENIED, EXECUTION, INVALID, NOT_FOUND, OK, TIMEOUT, TOO_LARGE, UNSUPPORTED, QuorateError
from quorate.base.ids import hash_id
from quorate.model import Lease, Result, TaskSpec
from quorate.model.executions import CommandInput, InputFile

BARE = Sandbox(Findings(None, "for a test"))
TASK = bytes(range(16))
LEASE = Lease(TASK, 0, 1, bytes(32), 0)


@pytest.fixture(params=[*list(sandboxes())[:1], "bare"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return sandboxes().get(request.param, BARE)


class Desk:
    """Puts tasks before an executor, one box each."""

    def __init__(self, path: Path, sandbox: Sandbox, **options: Any) -> None:
        path.mkdir(exist_ok=True)
        self.path = path
        self.sandbox = sandbox
        self.command = Command(sandbox, bare=True, **options)
        self.count = 0

    def box(self, asked: CommandInput | bytes | dict[str, Any], spec: TaskSpec) -> MemoryBox:
        data = (
            asked
            if isinstance(asked, bytes)
            else json.dumps(asked).encode()
            if isinstance(asked, dict)
            else to_json(asked)
        )
        self.count += 1
        return MemoryBox(self.path / str(self.count), spec, LEASE, data)

    def run(self, asked: Any, timeout_ms: int = 20_000, needs: tuple[str, ...] = ()) -> tuple[Result, MemoryBox]:
        spec = TaskSpec(TASK, "command", bytes(32), needs=needs, timeout_ms=timeout_ms)
        box = self.box(asked, spec)
        return self.answer(spec, box), box

    def answer(self, spec: TaskSpec, box: MemoryBox) -> Result:
        result = asyncio.run(self.command.run(spec, LEASE, box))
        assert box.signed(result)
        return result


@pytest.fixture
def desk(tmp_path: Path, sandbox: Sandbox) -> Desk:
    return Desk(tmp_path, sandbox)


def test_stdout_is_the_output_and_stderr_the_log(desk: Desk) -> None:
    result, box = desk.run({"argv": ["sh", "-c", "printf 'a\\000b'; echo words >&2"]})
    assert (result.code, box.output, box.words) == (OK, b"a\0b", "words\n")
    assert result.output == hash_id(b"a\0b")
    wall_ms, cpu_ms, peak_kib, size = result.usage
    assert 0 <= wall_ms < 20_000 and 0 <= cpu_ms < 20_000 and peak_kib >= 0 and size == 3


def test_files_and_outputs_of_dependencies_are_laid_out(desk: Desk) -> None:
    spec = TaskSpec(TASK, "command", bytes(32))
    big = bytes(3 << 20)
    box = desk.box(b"", spec)
    files = (
        InputFile("a.txt", data="text é"),
        InputFile("deep/er/blob", id=box.keep(big).hex()),
        InputFile("empty", data=""),
        InputFile("tool", data="#!/bin/sh\necho run"),
    )
    names = ("count words", "../../etc/passwd", "", "x" * 200)
    box.named = [(name, box.keep(name.encode())) for name in names]
    show = 'find in -type f | LC_ALL=C sort | while read f; do echo "$f $(wc -c <"$f")"; done; in/tool; cat'
    box._data = to_json(CommandInput(("sh", "-c", show), files, stdin="from stdin"))
    result = desk.answer(spec, box)
    assert result.code == OK, box.words
    assert box.output.decode().splitlines() == [
        "in/a.txt 7",
        "in/deep/er/blob 3145728",
        "in/deps/00000-count_words 11",
        "in/deps/00001-.._.._etc_passwd 16",
        "in/deps/00002- 0",
        f"in/deps/00003-{'x' * 100} 200",
        "in/empty 0",
        "in/tool 18",
        "run",
        "from stdin",
    ]


def test_dependencies_can_be_left_out_and_stdin_be_a_blob(desk: Desk) -> None:
    spec = TaskSpec(TASK, "command", bytes(32))
    box = desk.box(b"", spec)
    box.named = [("gone", hash_id(b"not here"))]
    stdin = box.keep(b"\xff blob")
    box._data = to_json(CommandInput(("cat", "/dev/stdin"), stdin_id=stdin.hex(), deps=False))
    assert desk.answer(spec, box).code == OK
    assert box.output == b"\xff blob" and box.fetched == [stdin]


def test_without_stdin_there_is_nothing_to_read(desk: Desk) -> None:
    _, box = desk.run(
        {"argv": ["sh", "-c", "cat; readlink /proc/self/fd/0; env | grep -c ^GIVEN="], "env": {"GIVEN": "1"}}
    )
    assert box.output == b"/dev/null\n1\n"


def test_a_blob_that_is_gone_is_said(desk: Desk) -> None:
    files = [{"name": str(i), "id": hash_id(b"%d" % i).hex()} for i in range(50)]
    result, box = desk.run({"argv": ["true"], "files": files})
    assert result.code == NOT_FOUND and "no blob" in box.words
    assert len(box.fetched) <= limits.SANDBOX_FETCHES


def test_the_first_blob_that_fails_ends_the_others(desk: Desk) -> None:
    class OneIsGone(MemoryBox):
        async def blob(self, id: bytes) -> bytes:
            if id != bytes(32):
                await asyncio.Event().wait()
            return await super().blob(id)

    ids = [*(hash_id(b"%d" % i) for i in range(3)), bytes(32)]
    files = tuple(InputFile(str(i), id=id.hex()) for i, id in enumerate(ids))
    spec = TaskSpec(TASK, "command", bytes(32), timeout_ms=5_000)
    box = OneIsGone(desk.path / "one", spec, LEASE, to_json(CommandInput(("true",), files)))
    assert desk.answer(spec, box).code == NOT_FOUND


def test_a_failure_says_the_status_and_the_last_words(desk: Desk) -> None:
    result, box = desk.run({"argv": ["sh", "-c", "seq 100000 >&2; printf '\\377' >&2; echo out; exit 7"]})
    assert (result.code, box.output) == (EXECUTION, b"")
    assert box.words.startswith("exit status 7\n") and box.words.endswith("\n100000\n\ufffd")
    assert limits.TASK_LOG_MAX_BYTES - 8 < len(box.words.encode()) <= limits.TASK_LOG_MAX_BYTES


def test_a_signal_is_named(desk: Desk) -> None:
    result, box = desk.run({"argv": ["sh", "-c", "kill -SEGV $$"]})
    assert (result.code, box.words.splitlines()[0]) == (EXECUTION, "exit status 139 (SIGSEGV)")


def test_a_program_that_is_not_there(desk: Desk) -> None:
    result, box = desk.run({"argv": ["no-such-program"]})
    assert result.code == EXECUTION and "127" in box.words and "no-such-program" in box.words


def test_a_timeout_is_a_result(desk: Desk) -> None:
    mark = new_mark()
    result, box = desk.run({"argv": ["sh", "-c", f"echo early >&2; sleep {mark}"]}, timeout_ms=300)
    assert result.code == TIMEOUT and box.words == "killed after 300 ms\nearly\n"
    assert result.usage[0] >= 250 and left(desk.sandbox, mark) == []


def test_time_spent_waiting_for_the_input_counts(desk: Desk) -> None:
    class Slow(MemoryBox):
        async def blob(self, id: bytes) -> bytes:
            await asyncio.Event().wait()
            raise AssertionError

    spec = TaskSpec(TASK, "command", bytes(32), timeout_ms=100)
    asked = to_json(CommandInput(("true",), (InputFile("a", id=hash_id(b"").hex()),)))
    box = Slow(desk.path / "slow", spec, LEASE, asked)
    assert desk.answer(spec, box).code == TIMEOUT and "input" in box.words


def test_a_flood_is_too_large(desk: Desk) -> None:
    result, box = desk.run({"argv": ["yes"], "outputBytes": 1000})
    assert (result.code, box.output) == (TOO_LARGE, b"") and "1000" in box.words


def test_bounds_that_are_asked_for_are_held(desk: Desk) -> None:
    source = "import resource as r; print(r.getrlimit(r.RLIMIT_AS)[0], r.getrlimit(r.RLIMIT_CPU)[0])"
    _, box = desk.run({"argv": ["python3", "-c", source], "memoryBytes": 64 << 20, "cpuSeconds": 2})
    assert box.output.split() == [b"%d" % (64 << 20), b"2"]


def test_cancelled_it_leaves_nothing_running(desk: Desk) -> None:
    mark = new_mark()

    async def cancel() -> None:
        spec = TaskSpec(TASK, "command", bytes(32))
        box = desk.box({"argv": ["sh", "-c", f"sleep {mark}; echo x"]}, spec)
        task = asyncio.create_task(desk.command.run(spec, LEASE, box))
        while not running(mark):  # noqa: ASYNC110 - another process, which tells nobody
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert left(desk.sandbox, mark) == []


@pytest.mark.parametrize(
    "asked",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"argv": ["\\ud800"]}',
        {},
        {"argv": []},
        {"argv": [""]},
        {"argv": "true"},
        {"argv": ["a\0b"]},
        {"argv": ["true"] * (limits.SANDBOX_ARGV_MAX + 1)},
        {"argv": ["true"], "unknown": 1},
        {"argv": ["true"], "network": "yes"},
        {"argv": ["true"], "env": {"A-B": "1"}},
        {"argv": ["true"], "env": {"A=B": "1"}},
        {"argv": ["true"], "env": {"--": "1"}},
        {"argv": ["true"], "env": {"A\n": "1"}},
        {"argv": ["true"], "env": {"A": "\0"}},
        {"argv": ["true"], "env": {f"V{i}": "" for i in range(limits.SANDBOX_ENV_MAX + 1)}},
        {"argv": ["true"], "memoryBytes": limits.SANDBOX_MEMORY_MIN_BYTES - 1},
        {"argv": ["true"], "memoryBytes": limits.SANDBOX_MEMORY_BYTES + 1},
        {"argv": ["true"], "cpuSeconds": 0},
        {"argv": ["true"], "outputBytes": -1},
        {"argv": ["true"], "outputBytes": limits.SANDBOX_OUTPUT_BYTES + 1},
        {"argv": ["true"], "stdin": "a", "stdinId": "00" * 32},
        {"argv": ["true"], "stdinId": "zz"},
        {"argv": ["true"], "files": [{"name": "a"}]},
        {"argv": ["true"], "files": [{"name": "a", "data": "", "id": "00" * 32}]},
        {"argv": ["true"], "files": [{"name": "a", "id": "00"}]},
        {"argv": ["true"], "files": [{"name": "a", "data": ""}] * 2},
        {"argv": ["true"], "files": [{"name": "a", "data": ""}, {"name": "a/b", "data": ""}]},
        {"argv": ["true"], "files": [{"name": "deps/a", "data": ""}]},
        {"argv": ["true"], "files": [{"name": "deps", "data": ""}]},
        {"argv": ["true"], "files": [{"name": str(i), "data": ""} for i in range(limits.SANDBOX_FILES_MAX + 1)]},
    ],
    ids=lambda asked: str(asked)[:60],
)
def test_what_makes_no_sense_is_refused(asked: Any) -> None:
    with pytest.raises(QuorateError) as caught:
        parse(asked if isinstance(asked, bytes) else json.dumps(asked).encode())
    assert caught.value.code == INVALID


NAMES = ["", ".", "..", "/", "/etc/x", "../x", "a/../../x", "a//b", "a/", "./a", "a/./b", "a\0b", "..\\x", "x" * 256]


@pytest.mark.parametrize("name", [*NAMES, "a/" * 300 + "b", "é" * 128])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    result, box = Desk(tmp_path, BARE).run({"argv": ["true"], "files": [{"name": name, "data": "planted"}]})
    assert result.code == INVALID and "name" in box.words
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_too_large_is_refused() -> None:
    for asked in ({"argv": ["x" * limits.SANDBOX_ARG_BYTES]}, {"argv": ["x"], "env": {"A": "é" * 62_000}}):
        with pytest.raises(QuorateError) as caught:
            parse(json.dumps(asked).encode())
        assert caught.value.code == TOO_LARGE
    with pytest.raises(QuorateError) as caught:
        parse(b" " * (limits.BODY_MAX_BYTES + 1))
    assert caught.value.code == TOO_LARGE


def test_all_input_together_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SANDBOX_INPUT_BYTES", 30)
    for stdin, code in (("x" * 10, OK), ("x" * 11, TOO_LARGE)):
        files = [{"name": "a", "data": "x" * 10}, {"name": "b", "data": "x" * 10}]
        result, _ = Desk(tmp_path / stdin, BARE).run({"argv": ["true"], "files": files, "stdin": stdin})
        assert result.code == code


def test_as_many_arguments_as_are_allowed_can_be_passed(desk: Desk) -> None:
    argv = ["sh", "-c", "echo $#", "sh", "x" * (limits.SANDBOX_ARG_BYTES - 2_100)]
    argv += ["y"] * (limits.SANDBOX_ARGV_MAX - len(argv))
    result, box = desk.run({"argv": argv})
    assert (result.code, box.output) == (OK, b"%d\n" % (limits.SANDBOX_ARGV_MAX - 4)), box.words


def test_input_round_trips_through_json() -> None:
    asked = CommandInput(("a",), (InputFile("f", data=""),), {"A": "1"}, "in", None, True, 64 << 20, 3, 4, False)
    assert parse(to_json(asked)) == asked
    assert json.loads(to_json(CommandInput(("a",)))) == {"argv": ["a"]}


def test_names_of_dependencies_are_safe_and_sorted() -> None:
    assert dep_name(7, "a/b\0c") == "00007-a_b_c"
    assert sorted(dep_name(i, "x") for i in (10, 9, 2)) == [dep_name(i, "x") for i in (2, 9, 10)]


# What a node offers


def test_isolation_is_offered_where_it_is_and_only_there() -> None:
    assert "isolation" not in Command(BARE, bare=True).capabilities()
    if not sandboxes():
        pytest.skip("no working bubblewrap: not what a node offers with it")
    offered = Command(next(iter(sandboxes().values()))).capabilities()
    assert {"isolation", "isolation:seccomp", "os:linux", "python:3.11"} <= {*offered, "python:3.11"}
    assert "network" not in offered and any(name.startswith("python:3.") for name in offered)
    assert "network" in Command(BARE, network=True).capabilities()


def test_a_task_that_demands_isolation_is_never_run_without(tmp_path: Path) -> None:
    result, box = Desk(tmp_path, BARE).run({"argv": ["true"]}, needs=("isolation",))
    assert result.code == UNSUPPORTED and "for a test" in box.words


def test_an_owner_can_refuse_to_run_anything_bare(tmp_path: Path) -> None:
    desk = Desk(tmp_path, BARE)
    desk.command = Command(BARE, bare=False)
    result, _ = desk.run({"argv": ["true"]})
    assert result.code == UNSUPPORTED and not desk.command.usable


def test_root_runs_nothing_bare_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for user, usable in ((0, False), (1000, True)):
        monkeypatch.setattr("os.geteuid", lambda user=user: user)
        assert Command(BARE).usable is usable


def test_the_network_is_the_owners_to_give(tmp_path: Path, sandbox: Sandbox) -> None:
    result, _ = Desk(tmp_path / "no", sandbox).run({"argv": ["true"], "network": True})
    assert result.code == DENIED
    result, _ = Desk(tmp_path / "yes", sandbox, network=True).run({"argv": ["true"], "network": True})
    assert result.code == OK
