"""Intake and projector of AMS: telemetry to the log, the log to tables."""
