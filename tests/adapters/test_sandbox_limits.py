"""What a task may use: every limit is reached on purpose, and nothing of a task is left after its end."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters.confinement import LONG_S, SMALL, all_end, left, new_mark, python, run, running, sandboxes
from quorate.adapters.sandbox import Bounds, Ended, Findings, Outcome, Sandbox
from quorate.base import limits

MIB = 1 << 20
BARE = Sandbox(Findings(None, "for a test"))

confined_only = pytest.mark.skipif(not sandboxes(), reason="no working bubblewrap: nothing of the sandbox's limits")


@pytest.fixture(params=[*sandboxes(), "bare"])
def anywhere(request: pytest.FixtureRequest) -> Sandbox:
    """Confined in each way, and bare."""
    return sandboxes().get(request.param, BARE)


@pytest.fixture(params=sandboxes() or ["none"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if not sandboxes():
        pytest.skip("no working bubblewrap: nothing of the sandbox's limits")
    return sandboxes()[request.param]


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "work" / "in"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def mark() -> str:
    return new_mark()


def test_output_status_and_words_come_back_exactly(anywhere: Sandbox, inputs: Path) -> None:
    (inputs.parent.parent / "stdin").write_bytes(bytes(range(256)) * 1000)
    source = (
        "import sys; d = sys.stdin.buffer.read(); sys.stdout.buffer.write(d); sys.stderr.write('words'); sys.exit(3)"
    )
    outcome = run(anywhere, inputs, "python3", "-c", source, stdin=inputs.parent.parent / "stdin")
    assert (outcome.ended, outcome.status, outcome.stderr) == (Ended.EXITED, 3, b"words")
    assert outcome.stdout == bytes(range(256)) * 1000


@pytest.mark.parametrize(
    ("argv", "status"),
    [(["true"], 0), (["false"], 1), (["sh", "-c", "kill -KILL $$"], 137), (["sh", "-c", "exit 200"], 200)],
)
def test_the_status_is_as_a_shell_says_it(anywhere: Sandbox, inputs: Path, argv: list[str], status: int) -> None:
    assert run(anywhere, inputs, *argv).status == status


def test_arguments_reach_the_program_as_they_are(anywhere: Sandbox, inputs: Path) -> None:
    words = ["$(id)", "a b", "", "--", "-c", "'\"\\", "*", "é\n"]
    outcome = run(anywhere, inputs, "python3", "-c", "import sys; print(ascii(sys.argv[1:]))", *words)
    assert outcome.stdout.decode().strip() == ascii(words)


@pytest.mark.parametrize("name", ["no-such-program", "cd", "A=b", "-c"])
def test_a_program_that_is_not_there_is_status_127(anywhere: Sandbox, inputs: Path, name: str) -> None:
    """Also when the shell that starts it would know the word."""
    outcome = run(anywhere, inputs, name, "/")
    assert outcome.status == 127 and outcome.stdout == b""


def test_variables_of_the_task_are_set_and_not_interpreted(anywhere: Sandbox, inputs: Path) -> None:
    given = {"PLAIN": "a", "ODD": "$(id) `id` 'x\ny=z", "EMPTY": "", "PYTHONHASHSEED": "7"}
    source = f"import os; print(ascii({{k: os.environ[k] for k in {sorted(given)}}}))"
    outcome = run(anywhere, inputs, "python3", "-c", source, environment=given)
    assert outcome.stdout.decode().strip() == ascii(dict(sorted(given.items())))


def test_the_environment_is_clean_also_bare(inputs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUORATE_SECRET", "secret")
    outcome = run(BARE, inputs, "env")
    assert b"secret" not in outcome.stdout and b"PYTHONHASHSEED=0" in outcome.stdout


# Time


def test_the_wall_clock_ends_all_of_it(anywhere: Sandbox, inputs: Path, mark: str) -> None:
    started = time.monotonic()
    tree = f"sleep {mark} & sh -c 'sleep {mark} & wait' & trap '' TERM INT HUP; wait"
    outcome = run(anywhere, inputs, "sh", "-c", tree, timeout_s=0.2)
    assert outcome.ended is Ended.TIMED_OUT
    assert outcome.wall_ms >= 200 and time.monotonic() - started < 5
    assert left(anywhere, mark) == []


def test_double_forked_daemons_end_too(sandbox: Sandbox, inputs: Path, mark: str) -> None:
    daemon = f"(setsid sh -c 'trap \"\" TERM HUP; (setsid sleep {mark} </dev/null >/dev/null 2>&1 &)' &)"
    for end, timeout_s in (("", LONG_S), ("; sleep 100", 1.5)):
        outcome = run(sandbox, inputs, "sh", "-c", f"{daemon}; until pidof sleep; do :; done{end}", timeout_s=timeout_s)
        assert outcome.stdout.strip().isdigit(), "it was there"
        assert left(sandbox, mark) == []


def test_a_processor_hog_is_ended_by_its_own_limit(anywhere: Sandbox, inputs: Path) -> None:
    outcome = run(anywhere, inputs, "sh", "-c", "while :; do :; done", bounds=Bounds(cpu_seconds=1))
    assert outcome.ended is Ended.EXITED and outcome.status == 128 + signal.SIGXCPU
    assert 500 <= outcome.cpu_ms <= 2_500  # the kernel counts ticks for the one and time for the other


@confined_only
def test_one_that_ignores_the_limit_is_killed_a_second_later(inputs: Path) -> None:
    sandbox = next(iter(sandboxes().values()))
    source = "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    outcome = run(sandbox, inputs, "python3", "-c", source, bounds=Bounds(cpu_seconds=1))
    assert outcome.status == 128 + signal.SIGKILL and outcome.cpu_ms <= 4_000


# Memory and processes


def test_one_process_cannot_take_more_memory_than_it_may(anywhere: Sandbox, inputs: Path) -> None:
    source = "try: bytearray(300 << 20)\nexcept MemoryError: print('refused')\nprint(len(bytearray(100 << 20)))"
    outcome = run(anywhere, inputs, "python3", "-c", source, bounds=SMALL)
    assert outcome.stdout.split() == [b"refused", str(100 * MIB).encode()]


def test_many_processes_cannot_take_it_together_either(sandbox: Sandbox, inputs: Path, mark: str) -> None:
    """Each stays below the limit; pages that they only share are no reason to end them."""
    hog = "held = bytearray(b'x') * (100 << 20)\nfor _ in range(4): pid = os.fork() or {}\nprint('forked', flush=True)"
    shared = f"import os, time\n{hog.format('time.sleep(0.4) or os._exit(0)')}\ntime.sleep(0.6)"
    assert run(sandbox, inputs, "python3", "-c", shared, bounds=SMALL).ended is Ended.EXITED
    touch = "[held.__setitem__(i, 1) for i in range(0, len(held), 4096)] and time.sleep(100)"
    own = f"import os, time\n{hog.format(touch)}\ntime.sleep(100)"
    outcome = run(sandbox, inputs, "python3", "-c", own, mark, bounds=SMALL)
    assert outcome.ended is Ended.MEMORY and outcome.stdout == b"forked\n"
    assert left(sandbox, mark) == []


BOMB = """
import errno, os, time
made = 0
while True:
    try:
        if os.fork() == 0:
            time.sleep(100)
        made += 1
    except OSError as error:
        print(made, errno.errorcode[error.errno], flush=True)
        os._exit(0)
"""


@confined_only
def test_a_fork_bomb_is_contained(inputs: Path, mark: str) -> None:
    sandbox = next(iter(sandboxes().values()))  # as it is found here
    outcome = run(sandbox, inputs, "python3", "-c", BOMB, mark)
    made, why = outcome.stdout.split()
    assert why == b"EAGAIN" and 1 < int(made) < limits.SANDBOX_PROCESSES
    assert left(sandbox, mark) == []
    spreading = ":(){ :|:& }; while :; do : | : & done"
    outcome = run(sandbox, inputs, "sh", "-c", spreading, mark, timeout_s=0.3)
    assert left(sandbox, mark) == []
    assert run(sandbox, inputs, "true").status == 0, "and the next task is none the worse"


def test_open_files_and_core_dumps_are_bounded(anywhere: Sandbox, inputs: Path) -> None:
    source = """
import resource
kinds = ("NOFILE", "CORE", "FSIZE")
print([resource.getrlimit(getattr(resource, "RLIMIT_" + kind)) for kind in kinds])"""
    files, core, size = eval(run(anywhere, inputs, "python3", "-c", source).stdout)
    assert files == (limits.SANDBOX_OPEN_FILES,) * 2 and core == (0, 0) and size == (limits.SANDBOX_FILE_BYTES,) * 2


# Output


@pytest.mark.parametrize("stream", ["1", "2"])
def test_a_flood_is_cut_off(anywhere: Sandbox, inputs: Path, stream: str, mark: str) -> None:
    outcome = run(anywhere, inputs, "sh", "-c", f"yes {mark} >&{stream}", bounds=Bounds(output_bytes=MIB))
    assert outcome.ended is Ended.FLOODED and outcome.wall_ms < LONG_S * 500
    assert len(outcome.stdout) <= MIB and len(outcome.stderr) <= limits.TASK_LOG_MAX_BYTES
    assert left(anywhere, mark) == []


def test_output_up_to_the_limit_is_whole_and_one_byte_more_is_not(anywhere: Sandbox, inputs: Path) -> None:
    for size, ended in ((100_000, Ended.EXITED), (100_001, Ended.FLOODED)):
        outcome = run(anywhere, inputs, "head", "-c", str(size), "/dev/zero", bounds=Bounds(output_bytes=100_000))
        assert outcome.ended is ended and outcome.stdout == bytes(100_000)


def test_of_many_words_the_last_are_kept(anywhere: Sandbox, inputs: Path) -> None:
    outcome = run(anywhere, inputs, "sh", "-c", "seq 100000 >&2")
    assert len(outcome.stderr) == limits.TASK_LOG_MAX_BYTES and outcome.stderr.endswith(b"\n99999\n100000\n")


def test_what_is_written_at_the_very_end_is_not_lost(anywhere: Sandbox, inputs: Path) -> None:
    """More than is read at once lies in the pipe when the end of the program is learned of."""
    source = "import fcntl; fcntl.fcntl(1, 1031, 1 << 19); print('x' * 400_000, end='', flush=True)"

    async def busy() -> Outcome:
        task = asyncio.create_task(anywhere.run(["python3", "-c", source], inputs, timeout_s=LONG_S))
        while not (running("1 << 19")):  # noqa: ASYNC110 - another process, which tells nobody
            await asyncio.sleep(0)
        while running("1 << 19"):
            pass  # the loop is kept from reading until it is all over
        return await task

    outcome = asyncio.run(busy())
    assert (outcome.ended, outcome.stdout) == (Ended.EXITED, b"x" * 400_000)


# Cancellation, crashes, leaks


def test_cancelled_it_leaves_nothing(anywhere: Sandbox, inputs: Path, mark: str) -> None:
    async def cancel(after: float) -> None:
        task = asyncio.create_task(anywhere.run(["sleep", mark], inputs, timeout_s=LONG_S))
        await asyncio.sleep(after)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left(anywhere, mark) == []

    # At once, while the sandbox is being made (a few milliseconds), and when it runs.
    for after in (0, 0.001, 0.002, 0.003, 0.005, 0.1):
        asyncio.run(cancel(after))


def test_nothing_is_kept_open(anywhere: Sandbox, inputs: Path) -> None:
    def kept() -> tuple[set[str], set[str]]:
        """Open files, and children: other tests of this process may have theirs."""
        children = {
            pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()
        }
        return set(os.listdir("/proc/self/fd")), children

    async def many() -> tuple[tuple[set[str], set[str]], tuple[set[str], set[str]]]:
        await anywhere.run(["true"], inputs, timeout_s=LONG_S)
        before = kept()
        tasks = [anywhere.run(["true"], inputs, timeout_s=LONG_S) for _ in range(8)]
        tasks += [anywhere.run(["sleep", "100"], inputs, timeout_s=0.05) for _ in range(2)]
        await asyncio.gather(*tasks)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(anywhere.run(["sleep", "100"], inputs, timeout_s=LONG_S), 0.05)
        return before, kept()

    before, after = asyncio.run(many())
    assert before == after


NODE = """
import asyncio, sys
from pathlib import Path
from adapters.confinement import sandboxes
sandbox = sandboxes()[sys.argv[1]]
argv = ["sh", "-c", f"sleep {sys.argv[3]} & setsid sleep {sys.argv[3]} & wait"]
asyncio.run(sandbox.run(argv, Path(sys.argv[2]), timeout_s=100))
"""


def test_a_node_that_is_killed_takes_its_tasks_with_it(sandbox: Sandbox, inputs: Path, mark: str) -> None:
    kind = next(name for name, one in sandboxes().items() if one is sandbox)
    path = os.pathsep.join(sys.path)
    with subprocess.Popen([sys.executable, "-c", NODE, kind, str(inputs), mark], env={"PYTHONPATH": path}) as node:
        try:
            while len(tasks := [pid for pid in running(mark) if _comm(pid) == "sleep"]) < 2:
                assert node.poll() is None
        finally:
            node.kill()
    assert all_end(tasks, within_s=5), "the kernel ends them without the node"


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


# Measurements


def test_what_a_task_used_is_measured(sandbox: Sandbox, inputs: Path) -> None:
    source = """
import os, time
held = bytearray(b'x') * (150 << 20)
if os.fork() == 0:
    while time.process_time() < 0.3: pass
    os._exit(0)
os.wait()"""
    outcome = run(sandbox, inputs, "python3", "-c", source)
    assert outcome.cpu_ms >= 300 and outcome.wall_ms >= 300
    assert 150 * 1024 <= outcome.peak_kib <= 250 * 1024


def test_the_memory_of_the_node_is_not_taken_for_the_tasks(sandbox: Sandbox, inputs: Path) -> None:
    """A child counts the pages of who forked it until it is another program."""
    held = bytearray(b"x") * (100 << 20)
    outcome = run(sandbox, inputs, "sleep", "0.1")
    assert len(held) and 0 < outcome.peak_kib < 50 * 1024


def test_the_same_program_gives_the_same_bytes(sandbox: Sandbox, inputs: Path) -> None:
    source = "import os, time; print({str(i) for i in range(50)}, hash('a'), time.tzname, sorted(os.environ.items()))"
    assert len({python(sandbox, inputs, source) for _ in range(3)}) == 1
