"""Pure functions used by several pure rooms: quorum arithmetic, reputations, statistics."""

from quorate.numerics.quorum import max_faulty, quorum_size, tolerates
from quorate.numerics.reputation import Reputation
from quorate.numerics.statistics import Window, percentile

__all__ = ["Reputation", "Window", "max_faulty", "percentile", "quorum_size", "tolerates"]
