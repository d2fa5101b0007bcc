"""Maps a key to its partition by murmur2, like Kafka's default partitioner, so that every client computes the same partition."""

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Compute the 32-bit murmur2 of ``org.apache.kafka.common.utils.Utils``, unsigned."""
    length = len(data)
    value = (_SEED ^ length) & _MASK
    whole = length - length % 4
    for index in range(0, whole, 4):
        k = (int.from_bytes(data[index : index + 4], "little") * _M) & _MASK
        k = ((k ^ (k >> 24)) * _M) & _MASK
        value = ((value * _M) & _MASK) ^ k
    if length % 4:
        value ^= int.from_bytes(data[whole:], "little")
        value = (value * _M) & _MASK
    value ^= value >> 13
    value = (value * _M) & _MASK
    return value ^ (value >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """Compute the partition of a key.

    Args:
        key: The key of the record.
        partitions: The number of partitions of the topic.
    """
    return (murmur2(key) & 0x7FFFFFFF) % partitions
