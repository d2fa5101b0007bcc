"""Logs as JSON events with fields, and the definitions of all metrics."""
