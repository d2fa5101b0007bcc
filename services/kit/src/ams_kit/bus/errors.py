"""Errors of the log, by what the caller does about them."""

from ams_kit.errors import TooLargeError, UnavailableError


class LogUnavailableError(UnavailableError):
    """Retry with the same event ids: nothing is known to be durable.

    The outcome is *unknown*: after a deadline the records may still reach the log, each at most once. Only the event ids make
    delivery exactly once; the absence of an acknowledgement does not mean that nothing was written.
    """

    code = "log_unavailable"


class RecordTooLargeError(TooLargeError):
    """Give up: the record exceeds the topic's size limit, and nothing of the call was published."""

    code = "record_too_large"


class PositionMovedError(Exception):
    """The stored position is not the one that this consumer continues, because another process projects or projected the partition.

    Raised by ``Projection.apply`` inside its transaction, which changes nothing. The consumer seeks to ``stored``.
    """

    def __init__(self, stored: int) -> None:
        super().__init__(f"the stored position is {stored}")
        self.stored = stored
