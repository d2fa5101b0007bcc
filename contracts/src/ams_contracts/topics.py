"""The topics: declared here, created by one command. The partition count of a version never changes."""

from msgspec import Struct

DAY_MS = 86_400_000


class Topic(Struct, frozen=True, kw_only=True):
    """A topic of the log.

    Attributes:
        name: Ends in its version.
        version: The first number of every position in it.
        partitions: Never changes: more partitions take a new version and a replay.
        compacted: Keep the last record of each key instead of deleting by age.
        retention_ms: How long records stay (ignored when compacted).
        record_bytes_max: The largest record that the broker accepts.
    """

    name: str
    version: int
    partitions: int
    compacted: bool = False
    retention_ms: int = 30 * DAY_MS
    record_bytes_max: int = 2_097_152


STEPS = Topic(name="ams.steps.v1", version=1, partitions=12)
PAYLOADS = Topic(name="ams.payloads.v1", version=1, partitions=12)
TASKS = Topic(name="ams.tasks.v1", version=1, partitions=12, compacted=True)
IDENTITY = Topic(name="ams.identity.v1", version=1, partitions=1, compacted=False)
ALERTS = Topic(name="ams.alerts.v1", version=1, partitions=1)
INBOUND = Topic(name="ams.inbound.v1", version=1, partitions=12, retention_ms=7 * DAY_MS)

TOPICS = (STEPS, PAYLOADS, TASKS, IDENTITY, INBOUND, ALERTS)


def task_key(project_id: str, task_id: str) -> bytes:
    """The record key of everything that belongs to one task."""
    return f"{project_id}:{task_id}".encode()


def agent_key(project_id: str, name: str) -> bytes:
    """The record key of ``agent.registered``."""
    return f"{project_id}:@agent:{name}".encode()


def prices_key(project_id: str) -> bytes:
    """The record key of ``price.set``: all prices of a project are in one partition."""
    return f"{project_id}:@prices".encode()


def alerts_key(project_id: str, rule_id: str) -> bytes:
    """The record key of the alerts of a rule."""
    return f"{project_id}:{rule_id}".encode()
