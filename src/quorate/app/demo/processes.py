"""The demo's processes: each is an ordinary `quorate` command, started, read, killed, ended."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from quorate.base.errors import IPC, QuorateError

START_S = 15.0
END_S = 15.0


class Process:
    """One `quorate` command. Its first line of output says where it is; its log goes to a file."""

    def __init__(self, name: str, arguments: list[str], log: Path) -> None:
        self.name = name
        self.arguments = arguments
        self.log = log
        self.said: dict[str, Any] = {}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> dict[str, Any]:
        """Start it; what its first line says. Raises 3001 with the end of its log."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "quorate", *self.arguments, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), START_S)
            self.said = msgspec.json.decode(line)
        except (TimeoutError, msgspec.DecodeError):
            tail = self.log.read_text(errors="replace")[-500:]
            raise QuorateError(IPC, f"{self.name} did not start: {tail}", f"See {self.log}") from None
        return self.said

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def kill(self) -> None:
        """kill -9."""
        if self._process is not None and self.alive:
            os.kill(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    async def end(self) -> int:
        """SIGTERM, and wait; the exit status."""
        if self._process is None:
            return 0
        if self.alive:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), END_S)
            except TimeoutError:
                await self.kill()
        return self._process.returncode or 0


async def run(*arguments: str) -> tuple[int, str]:
    """A `quorate` command to its end, in a fresh process: status and output."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "quorate", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode(errors="replace")
