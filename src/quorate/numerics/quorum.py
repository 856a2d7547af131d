"""Byzantine quorum arithmetic (Malkhi and Reiter, "Byzantine quorum systems", 1998).

Knows counts only, not who votes or for what. Invariants, for every n >= 1 with f = max_faulty(n) and
q = quorum_size(n): Q1 two quorums share at least f + 1 members, so one of them is honest.
Q2 the n - f honest members alone make a quorum.
"""

from quorate.base.errors import require


def max_faulty(members: int) -> int:
    """How many of `members` may lie without harm: (n - 1) // 3. Raises 1002 for none."""
    require(members >= 1, f"{members} members cannot make a quorum")
    return (members - 1) // 3


def quorum_size(members: int) -> int:
    """The smallest quorum that satisfies Q1: ceil((n + f + 1) / 2)."""
    return (members + max_faulty(members) + 2) // 2


def tolerates(members: int, quorum: int) -> int:
    """How many liars a quorum of `quorum` out of `members` survives, in safety (Q1) and in liveness (Q2).

    Three members with a quorum of two tolerate none: they survive a crash, not a lie.
    """
    require(1 <= quorum <= members, f"a quorum of {quorum} out of {members} members")
    return max(0, min(2 * quorum - members - 1, members - quorum))
