"""A child process of a benchmark: a peer or a generator of load, asked by lines of JSON and answering in kind."""

import asyncio
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from quorate.base.errors import IPC, QuorateError

LINE_BYTES = 16 * 1024 * 1024


class Child:
    """`python -m quorate.app.bench.<module>`, from `async with` to its end. Its errors go to a log."""

    def __init__(self, module: str, place: Path, *arguments: str) -> None:
        self._module, self._arguments = module, arguments
        self._log = place / f"{module}.log"
        self.said: Any = None
        self.pid = 0

    async def __aenter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"quorate.app.bench.{self._module}",
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=LINE_BYTES,
            )
        self.pid = self._process.pid
        self.said = await self.hear()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                await asyncio.wait_for(self._process.wait(), 10)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def hear(self) -> Any:
        """The next line that it says. Raises 3001 with the end of its log."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            await self._process.wait()
            tail = self._log.read_text(errors="replace")[-800:]
            raise QuorateError(IPC, f"{self._module} ended: {tail}", f"See {self._log}")
        return msgspec.json.decode(line)

    async def ask(self, order: Any) -> Any:
        """Tell it something; its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        await self._process.stdin.drain()
        return await self.hear()


def say(value: Any) -> None:
    """In the child: answer one line."""
    sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    sys.stdout.flush()


async def orders() -> asyncio.StreamReader:
    """In the child: the parent's lines; they end when it closes."""
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader
