"""The settings of ``ams.init`` as the hot path reads them. ``queue`` is None while tracing is off."""

import logging

from ams.masking import Masker
from ams.tracing.event_queue import EventQueue

logger = logging.getLogger("ams")

PAYLOAD_BYTES_MAX = (
    1_000_000  # as text; escaped in JSON it fits the contract's 1 MiB in nearly all cases; the assembler truncates the others
)


class Runtime:
    """One per process. A forked child gets a new queue; steps of the parent keep the old one and are ignored."""

    __slots__ = (
        "agent", "agents", "bug_reported", "capture_input", "capture_output", "endpoint", "environment", "follow_threads", "join_opentelemetry",
        "masker", "metadata_only", "queue", "sample_rate", "tags", "user_id",
    )  # fmt: skip

    def __init__(self) -> None:
        self.queue: EventQueue | None = None
        self.endpoint = ""
        self.agent: str | None = None
        self.environment: str | None = None
        self.user_id: str | None = None
        self.tags: dict[str, str] = {}
        self.capture_input = True
        self.capture_output = True
        self.metadata_only = False
        self.masker = Masker()
        self.join_opentelemetry = True
        self.follow_threads = False
        self.sample_rate = 1.0
        self.agents: set[str] = set()
        self.bug_reported = False

    def report_bug(self, where: str) -> None:
        """The SDK itself failed. The agent sees at most one warning."""
        if not self.bug_reported:
            self.bug_reported = True
            logger.warning("AMS could not trace %s; the program continues. This is a bug of ams-tracing.", where, exc_info=True)  # noqa: LOG014 - called from handlers only


runtime = Runtime()
