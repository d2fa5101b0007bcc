"""The consumer: drives a projection over one topic."""

from collections.abc import Callable

from ams_contracts.topics import Topic
from msgspec import Struct

from ams_kit.bus.alarms import Alarm, OnAlarm
from ams_kit.bus.records import Projection


class Lag(Struct, frozen=True):
    """How far a projection is behind the end of the log, in one partition. ``seconds`` is 0 when nothing is missing."""

    records: int
    seconds: float


class Consumer:
    """Reads a topic in a group and drives a projection. ``start`` returns at once and goes on in the background, broker or not."""

    def __init__(
        self,
        bootstrap: str,
        group: str,
        topic: Topic,
        projection: Projection,
        *,
        instance_id: str | None = None,
        records_max: int = 2_000,
        on_alarm: OnAlarm | None = None,
        on_stalled: Callable[[], None] | None = None,
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        """Begin to consume in the background."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Finish the batch in hand and leave the group, within 8 s."""
        raise NotImplementedError

    async def check(self) -> None:
        """A readiness check: raises unless the consumer is in its group."""
        raise NotImplementedError

    def lag(self) -> dict[int, Lag]:
        """Lag per assigned partition, as of the last look (every second or so)."""
        raise NotImplementedError

    @property
    def alarms(self) -> list[Alarm]:
        """What is wrong right now."""
        raise NotImplementedError
