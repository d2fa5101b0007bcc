"""What ``ams.flush`` returns."""

from msgspec import Struct


class FlushResult(Struct, frozen=True):
    """What became of the events of this process since ``ams.init``.

    Attributes:
        sent: Acknowledged: they are in AMS's log.
        pending: Not acknowledged yet; the sender retries them. A step that is still in the queue counts as one.
        dropped: Discarded: the queue was full, or AMS could not read them.
        rejected: Refused by AMS individually.
        reason: Why sending fails at the moment, None when it succeeds.
        spooled: Not acknowledged, and on disk: this process, the next one or ``ams flush`` sends them.
        undecided: Of tasks that have not ended, with ``tail_sample_rate``: they are sent when their task is.
        sampled_out: Steps of tasks that ``tail_sample_rate`` left out.
        reasons: Why events were dropped or rejected: ``queue_full``, ``spool_full``, ``malformed``, ``too_large``, and AMS's own codes.
    """

    sent: int
    pending: int
    dropped: int
    rejected: int
    reason: str | None = None
    spooled: int = 0
    undecided: int = 0
    sampled_out: int = 0
    reasons: dict[str, int] = {}

    @property
    def complete(self) -> bool:
        """Every event has arrived."""
        return self.pending == 0 and self.spooled == 0 and self.dropped == 0 and self.rejected == 0
