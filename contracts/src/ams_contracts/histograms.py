"""Histograms with fixed buckets: four in each power of two, so that a percentile is at most an eighth off, and any two can be added.

Bucket 0 to 3 hold the numbers 0 to 3; from there on each power of two has four buckets of equal width (as in HdrHistogram).
"""

from collections.abc import Sequence

SUB_BUCKETS = 4
_SUB_BITS = 2


def bucket_of(number: int) -> int:
    """The bucket of a number; a negative one counts as 0."""
    if number < SUB_BUCKETS:
        return max(number, 0)
    exponent = number.bit_length() - 1
    return SUB_BUCKETS * (exponent - 1) + ((number >> (exponent - _SUB_BITS)) & (SUB_BUCKETS - 1))


def bucket_bounds(bucket: int) -> tuple[int, int]:
    """The first number of a bucket, and the first one after it."""
    if bucket < SUB_BUCKETS:
        return bucket, bucket + 1
    exponent, part = bucket // SUB_BUCKETS + 1, bucket % SUB_BUCKETS
    width = 1 << (exponent - _SUB_BITS)
    first = (SUB_BUCKETS + part) * width
    return first, first + width


def percentile(buckets: Sequence[int], fraction: float) -> int | None:
    """The number that this fraction of the counted ones does not exceed: the middle of its bucket; null when nothing was counted.

    Args:
        buckets: The count of each bucket, from bucket 0 on.
        fraction: 0 to 1.
    """
    total = sum(buckets)
    if total <= 0:
        return None
    rank, seen = max(1, -(-int(fraction * total * 1_000_000) // 1_000_000)), 0
    for bucket, count in enumerate(buckets):
        seen += count
        if seen >= rank:
            first, after = bucket_bounds(bucket)
            return (first + after - 1) // 2
    return None
