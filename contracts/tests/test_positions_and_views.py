"""Positions as text, money as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ams_contracts.positions import Position
from ams_contracts.topics import TOPICS, agent_key, task_key
from ams_contracts.views import usd


@given(st.integers(0, 999_999_999), st.integers(0, 999_999_999), st.integers(0, 2**63 - 1))
def test_a_position_survives_its_text(version: int, partition: int, offset: int) -> None:
    position = Position(version, partition, offset)

    assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.7",
        "1.7.-1",
        "1.7.01",
        "01.7.1",
        "1.7.1.1",
        "1.7.9223372036854775808",
        "1.7.1\n",
        " 1.7.1",
        "1.7.1e3",
        "1.7.٤",
        "a.b.c",
        "1.7." + "9" * 400,
        "1,7,1",
    ],
)
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a position looks like"):
        Position.parse(text)


def test_positions_of_one_partition_are_ordered_by_offset() -> None:
    assert Position.parse("1.7.9") < Position.parse("1.7.10")


@pytest.mark.parametrize(
    ("nusd", "text"),
    [
        (None, None),
        (0, "0"),
        (1, "0.000000001"),
        (2_100_000, "0.0021"),
        (1_000_000_000, "1"),
        (10_000_000_000, "10"),
        (100_000_000_001, "100.000000001"),
        (1_500_000_000, "1.5"),
        (-2_100_000, "-0.0021"),
        (9_223_372_036_854_775_807, "9223372036.854775807"),
    ],
)
def test_money_is_an_exact_decimal_without_trailing_zeros(nusd: int | None, text: str | None) -> None:
    assert usd(nusd) == text


def test_keys_name_the_project_and_the_task_or_the_agent() -> None:
    assert task_key("p", "t") == b"p:t"
    assert agent_key("p", "planner") == b"p:@agent:planner"


def test_a_topics_name_ends_in_its_version() -> None:
    assert all(topic.name.endswith(f".v{topic.version}") for topic in TOPICS)
