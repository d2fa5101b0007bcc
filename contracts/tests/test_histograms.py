"""Buckets cover all numbers once, and a percentile is close."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ams_contracts.histograms import bucket_bounds, bucket_of, percentile


@given(st.integers(0, 2**62))
def test_a_number_lies_in_its_bucket(number: int) -> None:
    first, after = bucket_bounds(bucket_of(number))

    assert first <= number < after
    assert bucket_of(first) == bucket_of(after - 1) == bucket_of(number)
    assert after - first <= max(1, first / 4)


def test_buckets_follow_each_other() -> None:
    bounds = [bucket_bounds(bucket) for bucket in range(200)]

    assert all(after == first for (_, after), (first, _) in pairwise(bounds))
    assert (bucket_of(-5), bounds[0]) == (0, (0, 1))


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_percentile_is_at_most_an_eighth_off(numbers: list[int], fraction: float) -> None:
    buckets = [0] * 200
    for number in numbers:
        buckets[bucket_of(number)] += 1
    exact = sorted(numbers)[max(0, -(-int(fraction * len(numbers) * 1_000_000) // 1_000_000) - 1)]

    found = percentile(buckets, fraction)

    assert found is not None
    assert abs(found - exact) <= max(1, exact / 8)


def test_of_nothing_there_is_no_percentile() -> None:
    assert percentile([], 0.5) is None
    assert percentile([0, 0], 0.5) is None
