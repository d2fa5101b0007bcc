"""The version of this distribution, as requests and ``ams version`` report it."""

from importlib.metadata import PackageNotFoundError, version


def _installed_version() -> str:
    try:
        return version("ams-tracing")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0"


__version__ = _installed_version()
