"""What the figures were measured on, and the machine's own limits beside them."""

import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from quorate.base.errors import invariant
from quorate.base.signing import RESULT, Ed25519Signer, verify

MIB_OF_KIB = 1024
SYNC_BYTES = 4096
SYNCS = 200
SIGNATURES = 500


def machine() -> dict[str, str | float | int]:
    """Processor, memory, system, interpreter, and how busy the machine was before."""
    facts: dict[str, str | float | int] = {
        "cpu": _first_of(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 0,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load1": round(os.getloadavg()[0], 2),
    }
    memory = _first_of(Path("/proc/meminfo"), "MemTotal")
    return facts | ({"memoryMiB": int(memory.split()[0]) // MIB_OF_KIB} if memory else {})


def _first_of(path: Path, name: str) -> str:
    if not path.exists():
        return ""
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


def commit() -> str:
    """The commit that ran, `+` behind it when files were changed; empty outside a checkout."""
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def sync_ms(place: Path) -> float:
    """One 4 KiB append and fdatasync in `place`, milliseconds, median: what the disk takes for a durable write."""
    descriptor = os.open(place / "sync", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    block = bytes(SYNC_BYTES)

    def once() -> None:
        os.write(descriptor, block)
        os.fdatasync(descriptor)

    try:
        return _median_s(once, SYNCS) * 1000
    finally:
        os.close(descriptor)


def signature_us() -> float:
    """One Ed25519 signature made and verified, microseconds, median: what each result costs at least."""
    signer, message = Ed25519Signer(bytes(range(32))), RESULT + bytes(160)

    def once() -> None:
        invariant(verify(signer.public, message, signer.sign(message)), "a signature holds")

    return _median_s(once, SIGNATURES) * 1_000_000


def _median_s(work: Callable[[], None], times: int) -> float:
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return median(taken)
