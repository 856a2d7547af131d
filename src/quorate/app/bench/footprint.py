"""`footprint`: memory and idle processor time of a coordinator with five nodes, and how long the command takes."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from quorate.app.bench.figures import Figure, figure
from quorate.app.bench.swarm import Swarm
from quorate.base.errors import invariant

NODES = 5
SETTLE_S = 2.0


async def measure(place: Path, quick: bool) -> list[Figure]:
    """`footprint.*`: of a swarm that is idle."""
    runs, watched_s = (2, 2.0) if quick else (5, 20.0)
    starts = [await _start_s(place / f"start-{index}") for index in range(runs)]
    async with Swarm(place / "swarm", NODES, 2) as swarm:
        await asyncio.sleep(SETTLE_S)
        loads: list[float] = []
        for _ in range(2 if quick else 3):
            began, used = time.perf_counter(), swarm.cpu_s(swarm.pid)
            await asyncio.sleep(watched_s)
            loads.append((swarm.cpu_s(swarm.pid) - used) / (time.perf_counter() - began) * 100)
        shared, resident = swarm.memory_mb(swarm.pid)
        pids = [int(node.said["pid"]) for node in swarm.nodes]
        nodes = [swarm.memory_mb(pid) for pid in pids]
    helps = [_help_s() for _ in range(runs)]
    imports = [_import_ms() for _ in range(runs)]
    return [
        figure("footprint.coordinator_mb", [resident], f"RSS with {NODES} idle nodes; PSS {shared:.1f} MB"),
        figure(
            "footprint.node_mb",
            [node[1] for node in nodes],
            f"RSS of {NODES} idle nodes; PSS {max(node[0] for node in nodes):.1f} MB at most",
        ),
        figure("footprint.start_s", starts, "process started to ready, on a new data directory"),
        figure("footprint.idle_cpu", loads, f"one core = 100 %; {NODES} idle nodes, over {watched_s:g} s each"),
        figure("footprint.help_s", helps, "`quorate --help`, the whole process"),
        figure("footprint.import_ms", imports, "import of quorate.app.cli (python -X importtime)"),
    ]


async def _start_s(place: Path) -> float:
    async with Swarm(place, 0, 1) as swarm:
        return swarm.start_s


def _help_s() -> float:
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "quorate", "--help"], capture_output=True, check=False)
    taken = time.perf_counter() - began
    invariant(done.returncode == 0, "quorate --help ends with 0")
    return taken


def _import_ms() -> float:
    command = [sys.executable, "-X", "importtime", "-c", "import quorate.app.cli"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    line = next(line for line in done.stderr.splitlines() if line.endswith("| quorate.app.cli"))
    return int(line.split("|")[1]) / 1000
