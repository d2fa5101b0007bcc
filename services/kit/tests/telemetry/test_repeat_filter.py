"""A message that a library repeats is logged once in a while."""

import logging

from ams_kit.telemetry.logs import RepeatFilter


def line(name: str, number: int) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "client.py", number, "Unable connect to %s", ("a",), None)


def test_the_same_message_of_the_library_passes_once_in_ten_seconds() -> None:
    now = 100.0
    seldom = RepeatFilter("aiokafka", monotonic=lambda: now)

    assert [seldom.filter(line("aiokafka.client", 7)) for _ in range(3)] == [True, False, False]
    assert seldom.filter(line("aiokafka.client", 8))
    now = 111.0
    assert seldom.filter(line("aiokafka.client", 7))


def test_others_are_not_touched() -> None:
    seldom = RepeatFilter("aiokafka")

    assert all(seldom.filter(line("ams_kit.bus", 7)) for _ in range(3))
    assert all(seldom.filter(line("aiokafkaesque", 7)) for _ in range(3))
