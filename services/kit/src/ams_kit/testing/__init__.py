"""Test tools that several distributions share."""
