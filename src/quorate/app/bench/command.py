"""Runs benchmarks by name: one table for people or JSON for programs, and one result file each."""

import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from quorate.app.bench import api, dispatch, failover, footprint, start
from quorate.app.bench.figures import TARGETS, Figure, Report
from quorate.app.bench.machine import commit, machine
from quorate.app.loops import run
from quorate.app.output import emit
from quorate.base.errors import NOT_FOUND, QuorateError

Measure = Callable[[Path, bool], Awaitable[list[Figure]]]
BENCHMARKS: dict[str, Measure] = {
    "dispatch": dispatch.measure,
    "api": api.measure,
    "footprint": footprint.measure,
    "failover": failover.measure,
    "start": start.measure,
}


def main(name: str, quick: bool, out: Path, as_json: bool) -> int:
    """Run one benchmark, or `all`; write and show each result. Raises 1000 for a name that is none."""
    names = list(BENCHMARKS) if name == "all" else [name]
    if names[0] not in BENCHMARKS:
        raise QuorateError(NOT_FOUND, f"no benchmark {name!r}", f"There is {', '.join(BENCHMARKS)}, and all")
    out.mkdir(parents=True, exist_ok=True)
    for each in names:
        report = measure(each, quick)
        where = out / f"{each}.json"
        where.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
        show(report, where, as_json)
    return 0


def measure(name: str, quick: bool) -> Report:
    """One benchmark's report; its data lies in a temporary directory (TMPDIR chooses the disk)."""
    about = machine()
    found: list[Figure] = []

    async def work() -> None:
        with tempfile.TemporaryDirectory(prefix="quorate-bench-", ignore_cleanup_errors=True) as place:
            found.extend(await BENCHMARKS[name](Path(place), quick))

    run(work())
    return Report(name, about | {"quick": int(quick)}, commit(), found)


def show(report: Report, where: Path, as_json: bool) -> None:
    """Print a report."""
    if as_json:
        emit(True, report)
        return
    lines = [("figure", "value", "unit", "min", "max", "limit", "floor", "goal")]
    for one in report.figures:
        target = TARGETS[one.id]
        limit = "" if one.limit is None else f"{one.limit:g}"
        lines.append(
            (one.id, f"{one.value:g}", one.unit, f"{one.min:g}", f"{one.max:g}", limit, target.floor, target.goal)
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        sys.stdout.write(
            "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        )
    for one in report.figures:
        peers = ", ".join(f"{name} {value:g}" for name, value in one.peers.items())
        sys.stdout.write(f"\n{one.id}: {one.note}{f' [{peers}]' if peers else ''}\n")
    sys.stdout.write(f"\n{where}\n")
    sys.stdout.flush()
