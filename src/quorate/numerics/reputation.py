"""Reputation of a node: the mean of a beta posterior over what it was seen to do.

Knows counts of evidence, not nodes or tasks. A newcomer has the prior: good enough to be given work,
not as good as a node that proved itself. Everything that decides is integer arithmetic, so that two
machines rank alike; `mean` is a float for people to look at. Source: Jøsang and Ismail, "The beta
reputation system", 2002.

Invariants: R1 agreeing never lowers the rank, dissent and failure never raise it. R2 dissent weighs
more than failure: a machine that breaks is a nuisance, one that lies is a danger.
"""

from dataclasses import dataclass

PRIOR_GOOD = 4
PRIOR_BAD = 1
AGREED_WEIGHT = 1
DISSENTED_WEIGHT = 4
FAILED_WEIGHT = 1
SCALE = 1_000_000
FLOOR_PPM = 500_000  # below this mean, and with enough evidence, a node is not trusted
EVIDENCE_MIN = 8  # weighed observations before a node can lose trust


@dataclass(frozen=True, slots=True)
class Reputation:
    """Counts of evidence: agreed with an accepted result, differed from one, failed where others succeeded."""

    agreed: int = 0
    dissented: int = 0
    failed: int = 0

    @property
    def good(self) -> int:
        """Alpha of the posterior."""
        return PRIOR_GOOD + AGREED_WEIGHT * self.agreed

    @property
    def bad(self) -> int:
        """Beta of the posterior."""
        return PRIOR_BAD + DISSENTED_WEIGHT * self.dissented + FAILED_WEIGHT * self.failed

    @property
    def ppm(self) -> int:
        """The posterior's mean in millionths, rounded down: what ranks and what trust is decided by."""
        return SCALE * self.good // (self.good + self.bad)

    @property
    def mean(self) -> float:
        """The posterior's mean, 0-1, for views."""
        return self.good / (self.good + self.bad)

    @property
    def trusted(self) -> bool:
        """False once there is evidence enough and the mean is under the floor."""
        weighed = self.good - PRIOR_GOOD + self.bad - PRIOR_BAD
        return weighed < EVIDENCE_MIN or self.ppm >= FLOOR_PPM

    def plus(self, agreed: int = 0, dissented: int = 0, failed: int = 0) -> "Reputation":
        """The reputation after further evidence."""
        return Reputation(self.agreed + agreed, self.dissented + dissented, self.failed + failed)
