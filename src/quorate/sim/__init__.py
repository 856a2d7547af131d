"""The whole swarm on virtual time, from a seed: real drivers, virtual world, checkers from outside."""

from quorate.sim.run import main, run_seed, run_seeds

__all__ = ["main", "run_seed", "run_seeds"]
