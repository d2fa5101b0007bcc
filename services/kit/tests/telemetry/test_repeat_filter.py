"""The filter limits how often a library logs the same message."""

import logging

from ams_kit.telemetry.logs import RepeatFilter


def line(name: str, number: int) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "client.py", number, "Unable connect to %s", ("a",), None)


def test_the_same_message_of_the_library_passes_once_in_ten_seconds() -> None:
    now = 100.0
    repeat_filter = RepeatFilter("aiokafka", monotonic=lambda: now)

    assert [repeat_filter.filter(line("aiokafka.client", 7)) for _ in range(3)] == [True, False, False]
    assert repeat_filter.filter(line("aiokafka.client", 8))
    now = 111.0
    assert repeat_filter.filter(line("aiokafka.client", 7))


def test_other_libraries_are_not_filtered() -> None:
    repeat_filter = RepeatFilter("aiokafka")

    assert all(repeat_filter.filter(line("ams_kit.bus", 7)) for _ in range(3))
    assert all(repeat_filter.filter(line("aiokafkaesque", 7)) for _ in range(3))
