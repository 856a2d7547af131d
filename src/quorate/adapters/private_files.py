"""Files that are nobody else's business, and how they reach the disk.

Knows modes, owners and fsync; nothing of what is in the files. Invariants: F1 a directory made here is
0700. F2 one that any user may write to without the sticky bit is refused: its files could be swapped.
"""

import errno
import os
import stat
from pathlib import Path

from quorate.base.errors import DATABASE, UNAUTHENTICATED, QuorateError

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600


def disk_error(error: OSError, doing: str) -> QuorateError:
    """A failed system call as a 2000 that says what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "Free space on that disk (or raise the quota), then start again"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "Choose a directory that this user may write to, or change its owner"
    else:
        hint = "Check the disk and the path, then start again"
    return QuorateError(DATABASE, f"{doing}: {error.strerror or error}", hint)


def private_directory(path: Path) -> None:
    """Make `path` (0700, parents too) or accept it as it is. Raises 2000, 1003.

    An empty directory of this user is tightened; one that holds something keeps its mode: it may be shared
    on purpose, and the files that matter are 0600 themselves."""
    try:
        missing = [place for place in (path, *path.parents) if not place.exists()]
        for place in reversed(missing):
            place.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
            sync_directory(place.parent)
        found = path.stat()
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(path))
        if (
            found.st_uid == os.geteuid()
            and stat.S_IMODE(found.st_mode) != PRIVATE_DIRECTORY
            and not any(path.iterdir())
        ):
            path.chmod(PRIVATE_DIRECTORY)
            return
    except OSError as error:
        raise disk_error(error, f"cannot use the directory {path}") from error
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise QuorateError(UNAUTHENTICATED, f"any user may change files in {path}", f"chmod 700 {path}")


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
