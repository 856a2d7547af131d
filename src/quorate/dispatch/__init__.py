"""Runs: plans, leases, redundancy, validation. Sole owner of the run state of unfinished jobs."""

from quorate.dispatch.core import Dispatch
from quorate.dispatch.planning import needs_of
from quorate.dispatch.roster import Node
from quorate.dispatch.totals import Totals
from quorate.dispatch.validation import VALIDATORS, Validate, exact

__all__ = ["VALIDATORS", "Dispatch", "Node", "Totals", "Validate", "exact", "needs_of"]
