"""Reputation: monotone, integer, and a liar falls under the floor while an honest node does not."""

from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.numerics import Reputation

COUNT = st.integers(0, 10_000)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(COUNT, COUNT, COUNT)
def test_evidence_moves_the_rank_one_way_only(agreed: int, dissented: int, failed: int) -> None:
    now = Reputation(agreed, dissented, failed)
    assert now.plus(agreed=1).ppm >= now.ppm
    assert now.plus(failed=1).ppm <= now.ppm
    assert now.plus(dissented=1).ppm <= now.plus(failed=1).ppm
    assert 0 < now.ppm < 1_000_000
    assert abs(now.mean * 1_000_000 - now.ppm) <= 1.0


def test_a_newcomer_is_trusted_and_ranks_below_a_proven_node() -> None:
    assert Reputation().trusted
    assert Reputation().ppm == 800_000
    assert Reputation(agreed=50).ppm > Reputation().ppm > Reputation(dissented=1).ppm


def test_one_mistake_is_forgiven_a_habit_is_not() -> None:
    assert Reputation(dissented=1).trusted
    assert not Reputation(dissented=2).trusted
    assert not Reputation(agreed=4, dissented=2).trusted, "a third of its results were lies"
    assert Reputation(agreed=20, dissented=2).trusted
    assert Reputation(agreed=30, failed=20).trusted


def test_a_liar_of_every_third_result_is_found_out_within_a_dozen() -> None:
    seen = Reputation()
    for count in range(1, 100):
        seen = seen.plus(dissented=1) if count % 3 == 0 else seen.plus(agreed=1)
        if not seen.trusted:
            assert count <= 12
            return
    raise AssertionError("never found out")
