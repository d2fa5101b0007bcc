"""Fixtures for the tests of all distributions: real servers and a real browser."""

import os

import pytest

pytest_plugins = ["tests.servers", "tests.own_broker", "tests.chromium", "tests.installation"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked ``long`` run when they are asked for, and are counted as deselected otherwise."""
    if os.environ.get("AMS_TEST_LONG") == "1" or "long" in config.getoption("markexpr"):
        return
    long = [item for item in items if item.get_closest_marker("long") is not None]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item.get_closest_marker("long") is None]
