"""Logs as JSON events with fields, and metrics by names that stand in one module."""
