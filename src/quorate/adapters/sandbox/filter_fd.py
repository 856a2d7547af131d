"""The compiled filter as something that bubblewrap can read: a file without a name, at its beginning."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def filter_fd(compiled: bytes) -> Iterator[int]:
    """A descriptor to read the filter from, or -1 when there is none."""
    if not compiled:
        yield -1
        return
    fd = os.memfd_create("filter")
    try:
        os.write(fd, compiled)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
