"""Quorum arithmetic, exhaustively up to 200 members."""

import pytest

from quorate.base.errors import QuorateError
from quorate.numerics import max_faulty, quorum_size, tolerates


@pytest.mark.parametrize("n", range(1, 201))
def test_quorums_intersect_in_an_honest_member_and_the_honest_make_one(n: int) -> None:
    f, q = max_faulty(n), quorum_size(n)
    assert 3 * f + 1 <= n < 3 * (f + 1) + 1, "f is the largest with n >= 3f + 1"
    assert 2 * q - n >= f + 1, "Q1: two quorums share an honest member"
    assert n - f >= q, "Q2: the honest are enough"
    assert 2 * (q - 1) - n < f + 1, "no smaller quorum would do"
    assert tolerates(n, q) == f


def test_the_figures_of_the_design_hold() -> None:
    assert [quorum_size(n) for n in (1, 2, 3, 4, 5, 6, 7)] == [1, 2, 2, 3, 4, 4, 5]
    assert tolerates(3, 2) == 0
    assert tolerates(3, 3) == 0


@pytest.mark.parametrize("n", range(1, 41))
def test_tolerated_liars_can_neither_split_nor_block(n: int) -> None:
    for q in range(1, n + 1):
        f = tolerates(n, q)
        if f:
            assert 2 * q - n > f
            assert n - f >= q
        assert not (2 * q - n > f + 1 and n - f - 1 >= q), "one more would be tolerated too"


@pytest.mark.parametrize("call", [lambda: max_faulty(0), lambda: quorum_size(-1), lambda: tolerates(3, 4)])
def test_nonsense_is_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(QuorateError) as caught:
        call()
    assert caught.value.code == 1002
