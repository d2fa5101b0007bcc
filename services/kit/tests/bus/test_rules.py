"""Rules that need no broker: partitions of keys, where to resume, when a partition is stalled."""

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from ams_kit.bus import StoredPosition, partition_of
from ams_kit.bus.resume import LogFacts, Recreated, ResumeAt, decide_resume
from ams_kit.bus.watchdog import Progress, Watchdog


@given(st.binary(max_size=80), st.integers(min_value=1, max_value=50))
def test_a_key_has_the_same_partition_as_in_every_kafka_client(key: bytes, partitions: int) -> None:
    every = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, every, every)


@pytest.mark.parametrize(
    ("stored", "log", "decision"),
    [
        (None, LogFacts(0, 10), ResumeAt(0)),
        (None, LogFacts(4, 10), ResumeAt(4)),
        (StoredPosition(0, 0), LogFacts(4, 10), ResumeAt(4)),
        (StoredPosition(7, 111), LogFacts(0, 10, 111), ResumeAt(7)),
        (StoredPosition(10, 111), LogFacts(0, 10, 111), ResumeAt(10)),
        (StoredPosition(7, 111), LogFacts(7, 10), ResumeAt(7)),
        (StoredPosition(7, 111), LogFacts(9, 10), ResumeAt(9, lost=2)),
        (StoredPosition(7, 0), LogFacts(0, 10, 222), ResumeAt(7)),
    ],
)
def test_where_a_projection_resumes(stored: StoredPosition | None, log: LogFacts, decision: ResumeAt) -> None:
    assert decide_resume(stored, log) == decision


@pytest.mark.parametrize(
    ("stored", "log"),
    [
        (StoredPosition(7, 111), LogFacts(0, 3)),
        (StoredPosition(7, 111), LogFacts(0, 10, 222)),
        (StoredPosition(7, 111), LogFacts(0, 10, None)),
        (StoredPosition(7, 111), LogFacts(0, 7, 222)),
    ],
)
def test_a_position_of_another_log_is_recognised(stored: StoredPosition, log: LogFacts) -> None:
    assert isinstance(decide_resume(stored, log), Recreated)


def test_the_watchdog_reports_lag_without_progress() -> None:
    watchdog = Watchdog(45)
    assert watchdog.observe({0: Progress(5, 9)}, at=0) is None
    assert watchdog.observe({0: Progress(5, 12)}, at=45) is None
    assert watchdog.observe({0: Progress(5, 12)}, at=46) == 0


@pytest.mark.parametrize(
    "later",
    [Progress(9, 9), Progress(6, 12), Progress(5, 12, is_known_stalled=True)],
    ids=["idle", "moving", "is_known_stalled"],
)
def test_the_watchdog_ignores_idle_partitions_and_known_causes(later: Progress) -> None:
    watchdog = Watchdog(45)
    watchdog.observe({0: Progress(5, 9)}, at=0)
    watchdog.observe({0: later}, at=40)
    assert watchdog.observe({0: later}, at=80) is None


def test_a_reset_discards_the_observations_of_the_watchdog() -> None:
    watchdog = Watchdog(45)
    watchdog.observe({0: Progress(5, 9)}, at=0)
    watchdog.reset()
    assert watchdog.observe({0: Progress(5, 9)}, at=60) is None
