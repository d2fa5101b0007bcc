"""Bytes in, checked events out to the log."""
