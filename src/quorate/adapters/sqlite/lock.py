"""One coordinator a data directory.

Knows an advisory lock of the operating system, which ends with its process however that ends; nothing of
what it guards. The file stays: removing it would let two processes lock two files of one name.
"""

import errno
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
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            who = f"process {holder}" if holder else "another process"
            raise QuorateError(
                CONFLICT,
                f"{path.parent} is in use by {who}",
                "Stop the coordinator that runs on it, or choose another data directory",
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        os.close(self._descriptor)
