"""What goes wrong between a process and the log, by what the caller does about it."""

from ams_kit.errors import TooLargeError, UnavailableError


class LogUnavailableError(UnavailableError):
    """Retry with the same event ids: nothing is known to be durable.

    The outcome is *unknown*: after a deadline the records may still reach the log, each at most once. Ids make it exactly
    once, answers do not.
    """

    code = "log_unavailable"


class RecordTooLargeError(TooLargeError):
    """Give up: the topic does not take a record of this size, and nothing of the call was published."""

    code = "record_too_large"


class PositionMovedError(Exception):
    """The stored position is not the one that this consumer continues: somebody else projects the partition, or did.

    Raised by ``Projection.apply`` inside its transaction, which changes nothing. The consumer seeks to ``stored``.
    """

    def __init__(self, stored: int) -> None:
        super().__init__(f"the stored position is {stored}")
        self.stored = stored
