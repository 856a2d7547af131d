"""`quorate bench`: measures Quorate beside its peers and beside the machine's own limits, and writes what it found.

Knows which benchmarks there are and how a result looks; each benchmark is a file of its own, and so is each peer.
Nothing is estimated: what could not be measured is not in the result.
"""

from quorate.app.bench.command import BENCHMARKS, main
from quorate.app.bench.figures import TARGETS, Figure, Report

__all__ = ["BENCHMARKS", "TARGETS", "Figure", "Report", "main"]
