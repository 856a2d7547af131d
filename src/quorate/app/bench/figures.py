"""What a figure is: its id, its value over some runs, the limit and the peers of the same run.

Knows the ids that there are and where each wants to be; nothing of how a figure is measured.
Invariant: F1 a figure's id is in `TARGETS`.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from statistics import median

from msgspec import Struct

from quorate.base.errors import invariant


class Target(Struct, frozen=True):
    """Where a figure has to be (`floor`) and where it is to go (`goal`), in words."""

    unit: str
    floor: str
    goal: str


TARGETS: dict[str, Target] = {
    "dispatch.tasks_s": Target("tasks/s", ">= 1 x dask", ">= 3 x dask"),
    "dispatch.p95_ms": Target("ms", "< 500", "<= 15"),
    "api.get_s": Target("requests/s", ">= .2 x hello", ">= .5 x hello"),
    "api.post_s": Target("requests/s", ">= .1 x hello", ">= 2000"),
    "api.post_noop_s": Target("requests/s", ">= .1 x hello", ">= 2000"),
    "api.ws_bytes": Target("bytes", "10000 open", "<= 20480"),
    "api.ws_events_s": Target("events/s", "", ">= 100000"),
    "footprint.coordinator_mb": Target("MB", "<= 120", "<= 100"),
    "footprint.node_mb": Target("MB", "", "<= 60"),
    "footprint.start_s": Target("s", "< 2", "<= 1"),
    "footprint.idle_cpu": Target("%", "<= 1", "<= 1"),
    "footprint.help_s": Target("s", "<= .4", ""),
    "footprint.import_ms": Target("ms", "", ""),
    "failover.coordinator_s": Target("s", "< 60", "< 1"),
    "failover.node_s": Target("s", "< 60", "< 3"),
    "failover.lost": Target("writes", "0", "0"),
    "journal.start_1m_s": Target("s", "< 5", ""),
}


class Figure(Struct, frozen=True, omit_defaults=True):
    """`value` is the median of `runs` repetitions. `limit` and `peers` were measured in the same run, in `unit`."""

    id: str
    value: float
    unit: str
    min: float
    max: float
    runs: int
    limit: float | None = None
    peers: dict[str, float] = {}
    note: str = ""


class Report(Struct, frozen=True):
    """One benchmark's result: a file below `benchmarks/results`."""

    bench: str
    machine: dict[str, str | float | int]
    commit: str
    figures: list[Figure]


def figure(
    id: str,
    values: Sequence[float],
    note: str,
    peers: Mapping[str, Sequence[float]] | None = None,
    limit: float | None = None,
) -> Figure:
    """A figure from its repetitions; a peer's go in the order in which they alternated with ours."""
    invariant(id in TARGETS, f"F1: {id}")
    others = peers or {}
    notes = [note, *(f"{ratio(values, theirs)} {name}" for name, theirs in others.items())]
    return Figure(
        id=id,
        value=rounded(median(values)),
        unit=TARGETS[id].unit,
        min=rounded(min(values)),
        max=rounded(max(values)),
        runs=len(values),
        limit=None if limit is None else rounded(limit),
        peers={name: rounded(median(theirs)) for name, theirs in others.items()},
        note="; ".join(notes),
    )


def ratio(values: Sequence[float], theirs: Sequence[float]) -> str:
    """Our median over theirs; between the smallest and the largest ratio of two neighbours in time."""
    pairs = [ours / other for ours, other in zip(values, theirs, strict=True)]
    return f"{median(values) / median(theirs):.2f} ({min(pairs):.2f} to {max(pairs):.2f}) x"


def rounded(value: float) -> float:
    """Four significant digits: more than any run repeats."""
    return float(f"{value:.4g}")


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]
