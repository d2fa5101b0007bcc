"""Which partition a key lands on: murmur2, as Kafka's own default partitioner, so that every client agrees."""

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit murmur2 of ``org.apache.kafka.common.utils.Utils``, unsigned."""
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
    """The partition of a key.

    Args:
        key: Of the record.
        partitions: How many the topic has.
    """
    return (murmur2(key) & 0x7FFFFFFF) % partitions
