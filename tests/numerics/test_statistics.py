"""Percentiles of a window against the definition."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.base.errors import QuorateError
from quorate.numerics import Window, percentile


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300), st.integers(0, 100))
def test_a_percentile_is_the_smallest_value_that_enough_lie_at_or_below(values: list[int], percent: int) -> None:
    ordered = sorted(values)
    answer = percentile(ordered, percent)
    assert answer in values
    assert sum(value <= answer for value in values) * 100 >= percent * len(values)
    below = [value for value in ordered if value < answer]
    assert not below or len(below) * 100 < percent * len(values)


def test_a_window_forgets_the_oldest_and_counts_all() -> None:
    window = Window(100)
    assert window.percentiles(50, 95) == (None, None)
    for value in range(1, 301):
        window.add(value)
    assert len(window) == 100
    assert (window.count, window.total) == (300, 300 * 301 // 2)
    assert window.percentiles(50, 95, 100, 0) == (250, 295, 300, 201)


def test_nonsense_is_refused() -> None:
    with pytest.raises(QuorateError):
        percentile([1], 101)
    with pytest.raises(QuorateError):
        Window(0)
