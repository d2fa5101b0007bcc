"""The tail: every partition of some topics, without a group, from a point in time on."""

from collections.abc import Callable, Sequence

from ams_contracts.topics import Topic

from ams_kit.bus.records import LogRecord

OnRecords = Callable[[list[LogRecord]], None]


class Tail:
    """Follows the end of topics."""

    def __init__(self, bootstrap: str, topics: Sequence[Topic], handler: OnRecords) -> None:
        raise NotImplementedError
