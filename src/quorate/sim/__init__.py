"""The whole swarm on virtual time, from a seed: real drivers, virtual world, checkers from outside."""

from quorate.sim.faults import PROFILES
from quorate.sim.run import Outcome, main, run_seed, run_seeds

__all__ = ["PROFILES", "Outcome", "main", "run_seed", "run_seeds"]
