"""The version of the mapping."""

MAPPING_VERSION = 4
"""Raise it by one with every change after which the same span gives another document, payload or id, which is a change that edits an
``expected.json`` of the mapping's cases. A generation stores the version that was current when it was made.
"""
