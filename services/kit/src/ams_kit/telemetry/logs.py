"""Logs are JSON lines on stderr: ``{"event": ..., "level": ..., "time": ..., "service": ..., fields}``.

Do not log prompts, answers, tokens or keys.
"""

import logging
import sys
import time
import traceback
from collections.abc import Callable

import msgspec
import structlog

REPEAT_SECONDS = 10

_encode = msgspec.json.Encoder(enc_hook=repr).encode


def _exception_without_values(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Log the type and the stack frames of an exception. Its text and its variables may contain user data, so neither is logged."""
    info = event.pop("exc_info", None)
    error = info[1] if isinstance(info, tuple) else sys.exc_info()[1] if info is True else info
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)[-12:]
        event["exception"] = {"type": type(error).__name__, "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]}
    return event


def _render(_: object, __: str, event: structlog.typing.EventDict) -> str:
    return _encode(event).decode()


class RepeatFilter(logging.Filter):
    """Passes each message of a library once in 10 s, because aiokafka logs ten errors a second while its broker is unavailable."""

    def __init__(self, library: str, *, seconds: float = REPEAT_SECONDS, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._library = library
        self._seconds = seconds
        self._monotonic = monotonic
        self._last: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name != self._library and not record.name.startswith(f"{self._library}."):
            return True
        place, now = (record.pathname, record.lineno), self._monotonic()
        if now - self._last.get(place, -self._seconds) < self._seconds:
            return False
        self._last[place] = now
        return True


def configure_logging(service: str, level: str = "INFO") -> None:
    """Format every log line of this process, including those of libraries, as one JSON object.

    Args:
        service: The value of the field ``service`` of every line.
        level: The lowest level to log.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(allow=[]),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _exception_without_values,
        lambda _logger, _method, event: {"service": service, **event},
    ]
    structlog.configure(
        processors=[*shared[:2], *shared[3:], structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # services are forked from one process, and a logger cached before the fork would keep the parent's configuration
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render], foreign_pre_chain=shared
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(RepeatFilter("aiokafka"))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "aiokafka", "uvicorn.access", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
