"""A counter that many threads increase without a lock."""

from itertools import count


class Tally:
    """``add()`` is one call of C code, so no increment is lost between threads, and no lock is held in a signal handler or across a fork."""

    __slots__ = ("_count", "add")

    def __init__(self) -> None:
        self._count = count()
        self.add = self._count.__next__

    @property
    def value(self) -> int:
        """How often ``add`` was called. Its text is the only way to read ``itertools.count`` that changes nothing."""
        return int(repr(self._count)[len("count(") : -1])
