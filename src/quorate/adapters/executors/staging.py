"""Reads what a command asks for and lays its files out. Knows the box and the disk; starts nothing.

Invariants: S1 no file is written outside the folder given: every name is checked before the first byte, and only new,
plain files are made. S2 input files, outputs of dependencies and stdin together stay below `SANDBOX_INPUT_BYTES`.
"""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from quorate.base import limits
from quorate.base.codec import from_json
from quorate.base.errors import INVALID, TOO_LARGE, QuorateError, require
from quorate.base.ids import HASH_BYTES, parse_id
from quorate.model import Id
from quorate.model.executions import CommandInput, InputFile
from quorate.ports import Box

DEPS = "deps"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_OWN_THREAD_BYTES = 1 << 20
Fetch = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Staged:
    """Where things lie. `inputs`: the folder seen as `in/`."""

    inputs: Path
    stdin: Path | None


def parse(raw: bytes) -> CommandInput:
    """The command of a task's input. Raises 1002, 1007."""
    require(len(raw) <= limits.BODY_MAX_BYTES, f"a command of {len(raw)} bytes", TOO_LARGE)
    asked = from_json(raw, CommandInput)
    _check_arguments(asked)
    _check_bounds(asked)
    _check_files(asked)
    return asked


def _check_arguments(asked: CommandInput) -> None:
    require(1 <= len(asked.argv) <= limits.SANDBOX_ARGV_MAX, f"argv has 1 to {limits.SANDBOX_ARGV_MAX} members")
    require(asked.argv[0], "argv[0] names no program")
    require(len(asked.env) <= limits.SANDBOX_ENV_MAX, f"env has at most {limits.SANDBOX_ENV_MAX} members")
    for name in asked.env:
        require(_VARIABLE.match(name), f"env: {name[:100]!r} is no name of a variable")
    words = [*asked.argv, *asked.env, *asked.env.values()]
    require(not any("\0" in word for word in words), "argv and env hold no NUL")
    size = sum(len(_encoded(word, "argv or env")) + 1 for word in words)
    require(size <= limits.SANDBOX_ARG_BYTES, f"argv and env are {size} bytes", TOO_LARGE)


def _check_bounds(asked: CommandInput) -> None:
    for name, value, least, most in (
        ("memoryBytes", asked.memory_bytes, limits.SANDBOX_MEMORY_MIN_BYTES, limits.SANDBOX_MEMORY_BYTES),
        ("cpuSeconds", asked.cpu_seconds, 1, limits.SANDBOX_CPU_S),
        ("outputBytes", asked.output_bytes, 0, limits.SANDBOX_OUTPUT_BYTES),
    ):
        require(least <= value <= most, f"{name} is {value}, not within {least} and {most}")


def _check_files(asked: CommandInput) -> None:
    require(len(asked.files) <= limits.SANDBOX_FILES_MAX, f"at most {limits.SANDBOX_FILES_MAX} files")
    require(asked.stdin is None or asked.stdin_id is None, "stdin and stdinId: one of them")
    if asked.stdin_id is not None:
        parse_id(asked.stdin_id, HASH_BYTES, "stdinId")
    files: set[str] = set()
    folders: set[str] = {DEPS} if asked.deps else set()
    for file in asked.files:
        require((file.id is None) != (file.data is None), f"file {file.name[:100]!r}: id or data, one of them")
        if file.id is not None:
            parse_id(file.id, HASH_BYTES, f"file {file.name[:100]!r}: id")
        parts = _parts(file.name)
        require(not (asked.deps and parts[0] == DEPS), f"{DEPS}/ is where the outputs of dependencies are put")
        require(file.name not in files, f"file {file.name[:100]!r} is there twice")
        files.add(file.name)
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    both = sorted(files & folders)
    require(not both, f"{both[:1]} is a file and a folder")


def _parts(name: str) -> list[str]:
    """The parts of a relative name that stays where it is put. Raises 1002."""
    shown = f"file name {name[:100]!r}"
    require(len(_encoded(name, shown)) <= limits.SANDBOX_NAME_BYTES, f"{shown} is too long")
    parts = name.split("/")
    plain = all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts)
    require(plain and "\0" not in name and "\\" not in name, f"{shown} is no plain relative name")
    return parts


def _encoded(word: str, what: str) -> bytes:
    try:
        return word.encode()
    except UnicodeEncodeError:  # a lone surrogate
        raise QuorateError(INVALID, f"{what} is no valid text") from None


def dep_name(index: int, name: str) -> str:
    """Where the output of a dependency is put, below `in/deps`: `00007-count_words`."""
    return f"{index:05d}-{_UNSAFE.sub('_', name)[:100]}"


async def stage(asked: CommandInput, box: Box, scratch: Path) -> Staged:
    """Fetch and write all that the command reads. Raises 1000, 1007."""
    inputs = scratch / "work" / "in"
    inputs.mkdir(parents=True)
    wanted = [(inputs / file.name, _content(file, box)) for file in asked.files]
    if asked.deps:
        folder = inputs / DEPS
        wanted += [(folder / dep_name(i, name), _blob(id, box)) for i, (name, id) in enumerate(box.deps)]
    stdin = scratch / "stdin"
    if asked.stdin is not None or asked.stdin_id is not None:
        given = InputFile("stdin", asked.stdin_id, asked.stdin)
        wanted.append((stdin, _content(given, box)))
    for above in sorted({folder for path, _ in wanted for folder in path.parents if folder.is_relative_to(inputs)}):
        above.mkdir(exist_ok=True)
        above.chmod(0o755)
    inputs.chmod(0o755)
    await _fetch_all(wanted)
    return Staged(inputs, stdin if stdin.exists() else None)


async def _fetch_all(wanted: Iterable[tuple[Path, Fetch]]) -> None:
    """A few at a time; the first that fails ends the others."""
    waiting = iter(wanted)
    total = 0

    async def work() -> None:
        nonlocal total
        for path, fetch in waiting:
            data = await fetch()
            total += len(data)
            require(
                total <= limits.SANDBOX_INPUT_BYTES, f"input of more than {limits.SANDBOX_INPUT_BYTES} bytes", TOO_LARGE
            )
            if len(data) < _OWN_THREAD_BYTES:
                _write(path, data)
            else:
                await asyncio.to_thread(_write, path, data)

    tasks = [asyncio.create_task(work()) for _ in range(limits.SANDBOX_FETCHES)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _write(path: Path, data: bytes) -> None:
    # Whoever runs the task may be another user, and a file may be the program that is run.
    with path.open("xb") as file:
        os.fchmod(file.fileno(), 0o755)
        file.write(data)


def _content(file: InputFile, box: Box) -> Fetch:
    if file.id is not None:
        return _blob(parse_id(file.id, HASH_BYTES), box)
    text = file.data or ""

    async def inline() -> bytes:
        return _encoded(text, f"file {file.name[:100]!r}")

    return inline


def _blob(id: Id, box: Box) -> Fetch:
    return lambda: box.blob(id)
