"""Seeded dice: the only randomness that simulations and tests use. Same seed, same throws."""

import random


class Dice(random.Random):
    """`random.Random` with bytes and forks. Never for keys: those come from the `Entropy` port."""

    def chance(self, probability: float) -> bool:
        """True with `probability`."""
        return self.random() < probability

    def fork(self, name: str) -> "Dice":
        """Independent dice that depend on this seed's next throw and on `name` only."""
        return Dice(f"{self.getrandbits(64)}/{name}")
