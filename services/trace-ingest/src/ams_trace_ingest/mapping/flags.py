"""The flags of a step: limits of its data that a reader should know."""

from ams_trace_ingest import characters

TRUNCATED_BY_CLIENT = "truncated_by_client"  # the exporter dropped attributes, events or links, and said so
TRUNCATED = "truncated"  # intake cut values, or dropped what was over a cap
REPLACED_CHARACTERS = characters.FLAG
CLOCK_SKEW = "clock_skew"  # ended before it started
NO_START = "no_start"
ODD_TIME = "odd_time"  # before 2000, or more than a day ahead of the receipt
SELF_PARENT = "self_parent"
BAD_PARENT = "bad_parent"  # a parent id that is none
REMOTE_PARENT = "remote_parent"  # the parent ran in another process
BAD_USAGE = "bad_usage"  # token counts that are no counts
BAD_COST = "bad_cost"
