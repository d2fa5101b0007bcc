"""The settings of ``ams.init`` as the hot path reads them. ``queue`` is None while tracing is off."""

import logging
from dataclasses import dataclass, field

from ams.masking import Masker
from ams.tracing.event_queue import EventQueue

logger = logging.getLogger("ams")

PAYLOAD_BYTES_MAX = (
    1_000_000  # as text; escaped in JSON it fits the contract's 1 MiB in nearly all cases; the assembler truncates the others
)


@dataclass(slots=True)
class Runtime:
    """One per process. A forked child gets a new queue; steps of the parent keep the old one and are ignored."""

    queue: EventQueue | None = None
    endpoint: str = ""
    agent: str | None = None
    environment: str | None = None
    user_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict[str, str])
    capture_input: bool = True
    capture_output: bool = True
    metadata_only: bool = False
    masker: Masker = field(default_factory=Masker)
    join_opentelemetry: bool = True
    follow_threads: bool = False
    sample_rate: float = 1.0
    agents: set[str] = field(default_factory=set[str])
    bug_reported: bool = False

    def report_bug(self, where: str) -> None:
        """The SDK itself failed. The agent sees at most one warning."""
        if not self.bug_reported:
            self.bug_reported = True
            logger.warning("AMS could not trace %s; the program continues. This is a bug of ams-tracing.", where, exc_info=True)  # noqa: LOG014 - called from handlers only


runtime = Runtime()
