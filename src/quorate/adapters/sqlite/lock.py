"""One coordinator a data directory.

Knows an advisory lock of the operating system, which ends with its process however that ends; nothing of
what it guards. The file stays: removing it would let two processes lock two files of one name.
"""

import fcntl
import os
from pathlib import Path

from quorate.adapters.private_files import PRIVATE_FILE
from quorate.base.errors import CONFLICT, QuorateError


class DirectoryLock:
    """Held from construction to `release`. Raises 1006 when another holds it, OSError."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_FILE)
        try:
            self._take(path)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        os.close(self._descriptor)

    def _take(self, path: Path) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip()
            raise QuorateError(
                CONFLICT,
                f"{path.parent} is in use by {f'process {holder}' if holder else 'another process'}",
                "Stop the coordinator that runs on it, or choose another data directory",
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)
