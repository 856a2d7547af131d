"""Keys and secrets in files of their own.

Knows how to read and make a secret file; nothing of what the secret opens. Invariants: K1 what others
may read is refused, not repaired: it may have been read. K2 a file appears under its name whole, synced
and 0600, or not at all. K3 a name that exists is never overwritten. K4 no link is followed.
"""

import errno
import os
import stat
from pathlib import Path

from quorate.adapters.private_files import PRIVATE_FILE, disk_error, private_directory, sync_directory
from quorate.base.errors import UNAUTHENTICATED, QuorateError
from quorate.base.signing import KEY_BYTES, Ed25519Signer

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # not blocking: a FIFO must not hang the start
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def load_or_create_key(path: Path) -> Ed25519Signer:
    """The Ed25519 key whose 32-byte seed lies in `path`; a new one when there is none. Raises 1003, 2000."""
    return Ed25519Signer(load_or_create_secret(path, KEY_BYTES))


def load_or_create_secret(path: Path, size: int) -> bytes:
    """The `size` secret bytes in `path`; new ones when there are none. Raises 1003, 2000."""
    private_directory(path.parent)
    try:
        try:
            return _load(path, size)
        except FileNotFoundError:
            _create(path, os.urandom(size))
            return _load(path, size)  # what is on disk, also when another process was first
    except OSError as error:
        raise disk_error(error, f"cannot keep a secret in {path}") from error


def _load(path: Path, size: int) -> bytes:
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refused(f"{path} is a symbolic link", "Name the file itself") from error
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _refused(f"{path} is not a plain file", "Name another file; it is made if it is missing")
        if found.st_uid != os.geteuid():
            raise _refused(f"{path} belongs to another user", f"chown it to the user that runs this, or remove {path}")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise _refused(f"{path} can be read by others", f"chmod 600 {path} (and replace it if it was exposed)")
        data = os.read(descriptor, size + 1)
    finally:
        os.close(descriptor)
    if len(data) != size or found.st_size != size:
        raise _refused(f"{path} has {found.st_size} bytes, not {size}", "Restore it from a backup, or remove it")
    return data


def _create(path: Path, data: bytes) -> None:
    # The name appears by a link to the finished file: a crash half-way leaves no torn key behind, and a file
    # that came up meanwhile stays.
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    descriptor = os.open(draft, _CREATE, PRIVATE_FILE)
    try:
        try:
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(draft))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
    sync_directory(path.parent)


def _refused(what: str, hint: str) -> QuorateError:
    return QuorateError(UNAUTHENTICATED, what, hint)
