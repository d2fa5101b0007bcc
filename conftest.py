"""Fixtures for the tests of all distributions: real servers and a real browser."""

pytest_plugins = ["tests.servers", "tests.own_broker", "tests.chromium", "tests.installation"]
