"""Who belongs to a task and how much memory they hold, read from /proc.

Knows Linux only: elsewhere, and for processes that are gone, it finds nothing. Inside a sandbox nobody gets away: an
orphan is adopted by the sandbox's first process, never by one outside.
"""

from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Memory:
    """`held_kib`: memory with no file behind it, of all together. `peak_kib`: the most that one of them had."""

    held_kib: int = 0
    peak_kib: int = 0


def children(pid: int) -> list[int]:
    """Processes whose parent is `pid`, in the ids of this process's namespace."""
    found = []
    for task in _listed(_PROC / str(pid) / "task"):
        found += [int(child) for child in _read(task / "children").split()]
    return found


def family(pid: int) -> list[int]:
    """`pid` and all its descendants."""
    found = [pid]
    for member in found:  # grows while it is walked
        found += children(member)
    return found


def memory(pids: list[int], limit_kib: int) -> Memory:
    """What the processes hold. Pages that forks share are counted once, when it matters: above `limit_kib`."""
    held = peak = 0
    for pid in pids:
        status = _fields(_PROC / str(pid) / "status")
        held += status.get("RssAnon", 0) + status.get("RssShmem", 0)
        peak = max(peak, status.get("VmHWM", 0))
    if held > limit_kib:
        held = sum(_proportional(pid) for pid in pids)
    return Memory(held, peak)


def _proportional(pid: int) -> int:
    rollup = _fields(_PROC / str(pid) / "smaps_rollup")
    if rollup:
        return rollup.get("Pss_Anon", 0) + rollup.get("Pss_Shmem", 0)
    status = _fields(_PROC / str(pid) / "status")
    return status.get("RssAnon", 0) + status.get("RssShmem", 0)


def _fields(path: Path) -> dict[str, int]:
    found = {}
    for line in _read(path).splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            found[name] = int(value[:-3])
    return found


def _listed(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError:  # it ended meanwhile
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:  # it ended meanwhile
        return ""
