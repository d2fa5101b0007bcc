"""The last minutes of the log by task, from which a client resumes without a read of the log. Pure: time is an argument."""

from collections import OrderedDict, deque

from msgspec import Struct

ENTRY_OVERHEAD_BYTES = 400  # bytes, measured: the entry, its deque slots and the headers of the bytes objects
KEYS_REMEMBERED_MAX = 50_000


class Entry(Struct):
    """A record of a task.

    Attributes:
        prev: The position after the previous record of the same key, ``None`` when the ring has none.
        value: As read. ``None`` once the frame is encoded.
        frame: The encoded frame, created on first use and shared by all sockets; empty when the value is not valid JSON.
        timestamp_ms: By the broker's clock.
    """

    partition: int
    offset: int
    key: bytes
    prev: int | None
    value: bytes | None
    size: int
    timestamp_ms: int
    frame: bytes | None = None


class Ring:
    """Records of all partitions, bounded by age and bytes. Evicts the oldest first.

    For each partition it covers a contiguous range of offsets, from ``start`` to the newest record.
    """

    def __init__(self, bytes_max: int, seconds_max: float) -> None:
        self._bytes_max = bytes_max
        self._ms_max = int(seconds_max * 1000)
        self._entries: deque[Entry] = deque()
        self._by_key: dict[bytes, deque[Entry]] = {}
        self._last: OrderedDict[bytes, int] = OrderedDict()
        self._starts: dict[int, int] = {}
        self.size = 0

    def reset(self, partition: int, offset: int) -> None:
        """Drop the records of a partition and start it at an offset."""
        removed = [entry for entry in self._entries if entry.partition == partition]
        if removed:
            self._entries = deque(entry for entry in self._entries if entry.partition != partition)
            for entry in removed:
                self._forget(entry)
            for key in {entry.key for entry in removed}:
                self._last.pop(key, None)
        self._starts[partition] = offset

    def add(self, partition: int, offset: int, key: bytes, value: bytes, timestamp_ms: int) -> Entry:
        """Add the next record of a partition."""
        entry = Entry(partition, offset, key, self._last.get(key), value, len(value) + len(key) + ENTRY_OVERHEAD_BYTES, timestamp_ms)
        self._last[key] = offset + 1
        self._last.move_to_end(key)
        if len(self._last) > KEYS_REMEMBERED_MAX:
            self._last.popitem(last=False)
        self._entries.append(entry)
        self._by_key.setdefault(key, deque()).append(entry)
        self.size += entry.size
        while self.size > self._bytes_max and len(self._entries) > 1:
            self._evict_oldest()
        return entry

    def expire(self, now_ms: int) -> None:
        """Evict records that are too old."""
        while self._entries and now_ms - self._entries[0].timestamp_ms > self._ms_max:
            self._evict_oldest()

    def start(self, partition: int) -> int | None:
        """The offset from which the ring has every record of a partition; ``None`` for an unknown partition."""
        return self._starts.get(partition)

    def covers(self, partition: int, offset: int) -> bool:
        """Whether the ring has every record from this offset on."""
        start = self._starts.get(partition)
        return start is not None and offset >= start

    def since(self, key: bytes, offset: int) -> list[Entry]:
        """A key's records from this offset on, oldest first."""
        entries = self._by_key.get(key)
        if not entries or entries[-1].offset < offset:
            return []
        return [entry for entry in entries if entry.offset >= offset]

    def _evict_oldest(self) -> None:
        entry = self._entries.popleft()
        self._starts[entry.partition] = entry.offset + 1
        self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        self.size -= entry.size
        entries_of_key = self._by_key[entry.key]
        entries_of_key.popleft()  # entries are evicted in order, so it is the first one of its key
        if not entries_of_key:
            del self._by_key[entry.key]
