"""Between the agent's threads and the sender: a bounded queue whose ``put`` neither blocks nor raises."""

from collections import deque
from collections.abc import Callable
from time import sleep
from typing import Any, Protocol

from ams.tracing.tally import Tally

LOSSY_TASKS_MAX = 1_000  # further ones are in the total alone
PAUSE_SECONDS = 0.0004  # a step puts two items, so it waits for less than 1 ms


class Journal(Protocol):
    """Where items are written before the call that made them returns."""

    def write(self, item: object, *, taken: bool) -> bool:
        """Write an item; ``taken``: the queue has it too. False when it is not written."""
        ...


class NoQueue:
    """Takes everything and keeps nothing: the steps of a task that is not sampled."""

    __slots__ = ()
    journal = None
    successor = None

    def newest(self) -> "NoQueue":
        """It has no successor."""
        return self

    def put(self, item: object, size: int = 0) -> bool:
        """Nothing is lost, because nothing is wanted."""
        del item, size
        return True

    put_kept = put

    def count_lost(self, task: Any) -> None:
        """Nothing is lost."""


NO_QUEUE = NoQueue()


class EventQueue:
    """Items of the agent's threads that the sender has not read yet.

    ``deque.append`` and ``popleft`` are atomic, so no lock is held in the agent's thread: a lock there could be taken in the
    middle of a signal handler, or be held by another thread at a fork. ``waiting_bytes`` is therefore an estimate.

    From half of its size on, the queue slows the agent down to what the sender can take: a tight loop would otherwise fill it within
    0.2 s. It does so only while waiting helps: not while the server does not answer, and not after a drop until the sender took items.
    """

    __slots__ = (
        "_start",
        "bytes_max",
        "items",
        "items_max",
        "journal",
        "lossy",
        "lost",
        "slow_bytes",
        "slow_items",
        "slows",
        "successor",
        "waiting_bytes",
    )

    def __init__(self, *, items_max: int, bytes_max: int, start: Callable[[], None] | None = None) -> None:
        self.items: deque[Any] = deque()
        self.items_max = items_max
        self.bytes_max = bytes_max
        self.slow_items = items_max // 2
        self.slow_bytes = bytes_max // 2
        self.slows = True  # the sender's: whether a pause of the agent lets it catch up
        self.waiting_bytes = 0
        self.journal: Journal | None = None
        self.lost = Tally()
        self.lossy: dict[int, Any] = {}  # tasks of which an item was refused, by id
        self._start = start
        self.successor: EventQueue | None = None  # of the next ``ams.init``: what open steps put from then on

    def newest(self) -> "EventQueue":
        """The queue that takes what is put now."""
        queue = self
        while queue.successor is not None:
            queue = queue.successor
        if queue is not self:
            self.successor = queue  # a program may call ``ams.init`` a thousand times
        return queue

    def put(self, item: object, size: int = 0) -> bool:
        """Hand an item to the sender.

        Args:
            item: A record or an update of one.
            size: Approximate bytes of memory that it keeps.

        Returns:
            False when there is no room. The caller decides whether that is a loss.
        """
        items = self.items
        if (len(items) >= self.slow_items or self.waiting_bytes > self.slow_bytes) and not self._has_room():
            return False
        self.waiting_bytes += size
        items.append(item)
        if self._start is not None:
            self._begin()
        return True

    def put_kept(self, item: object, size: int = 0) -> bool:
        """``put``, and into the journal if there is one.

        Returns:
            False when neither has it.
        """
        taken = self.put(item, size)
        return (self.journal is not None and self.journal.write(item, taken=taken)) or taken

    def count_lost(self, task: Any) -> None:
        """Count a refused item that nothing else brings to the sender.

        Args:
            task: The ``TaskRecord`` that it belonged to.
        """
        self.slows = False
        self.lost.add()
        task.dropped.add()
        if len(self.lossy) < LOSSY_TASKS_MAX:
            self.lossy[task.id] = task

    def put_anyway(self, item: object) -> None:
        """Add what must not be refused and is rare: the mark of a flush."""
        self.items.append(item)
        if self._start is not None:
            self._begin()

    def _has_room(self) -> bool:
        if self.slows and self.items_max > 0:
            sleep(PAUSE_SECONDS)  # releases the interpreter to the sender
        return len(self.items) < self.items_max and self.waiting_bytes <= self.bytes_max

    def close(self) -> None:
        """Refuse further items and drop the present ones: in a forked child they belong to the parent."""
        self.items_max = self.slow_items = -1
        self.items.clear()
        self.journal = None
        self._start = None

    def _begin(self) -> None:
        start, self._start = self._start, None
        if start is not None:
            start()
