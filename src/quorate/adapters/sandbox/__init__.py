"""Confines programs of strangers: the policy, its probe, and processes whose end is certain."""

from quorate.adapters.sandbox.policy import INPUTS, POLICY, WORK, Bounds, Row
from quorate.adapters.sandbox.probe import Findings
from quorate.adapters.sandbox.process import Ended, Outcome
from quorate.adapters.sandbox.sandbox import Sandbox

__all__ = ["INPUTS", "POLICY", "WORK", "Bounds", "Ended", "Findings", "Outcome", "Row", "Sandbox"]
