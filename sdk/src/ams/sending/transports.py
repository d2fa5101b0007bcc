"""The transports by the names of ``AMS_TRANSPORT``. Only the default one is imported before it is used."""

from collections.abc import Callable
from importlib import import_module

from ams.sending.https import HttpTransport
from ams.sending.transport import Transport
from ams.settings import SdkSettings

PLACES = {
    "kafka": ("ams.sending.kafka", "KafkaTransport"),
    "file": ("ams.sending.local", "FileTransport"),
    "console": ("ams.sending.local", "ConsoleTransport"),
    "memory": ("ams.sending.local", "MemoryTransport"),
}
"""Module and class, which is made from ``SdkSettings``."""


_replacement: Transport | None = None


def use_transport(transport: Transport | None) -> Transport | None:
    """Send over ``transport`` whatever the settings name, in clients that start from now on; None ends this. Returns the one of before.

    For tests: the code under test may call ``ams.init``.
    """
    global _replacement
    before, _replacement = _replacement, transport
    return before


def make_transport(settings: SdkSettings) -> Transport:
    """The transport that the settings name."""
    if _replacement is not None:
        return _replacement
    if settings.transport not in PLACES:
        return HttpTransport(settings)
    module, name = PLACES[settings.transport]
    factory: Callable[[SdkSettings], Transport] = getattr(import_module(module), name)
    return factory(settings)
