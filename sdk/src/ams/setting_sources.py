"""Where settings come from: arguments of ``ams.init``, then ``AMS_*``, then ``[tool.ams]`` of pyproject.toml, then the defaults."""

import os
from collections.abc import Callable, Mapping
from dataclasses import Field
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any
from urllib.parse import urlsplit

from ams.settings import ENDPOINT_DEFAULT, NAMES, SETTINGS, SdkSettings, environment_name
from ams.tracing.runtime import logger

OWN_NAMES = frozenset(environment_name(name) for name in NAMES)
PLATFORM_NAMES = frozenset(
    f"AMS_{name}"
    for name in (
        *("PUBLIC_URL", "DATA_DIR", "KAFKA_BOOTSTRAP", "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "SERVICE_SECRET"),
        *("REQUIRE_ALL", "ALLOWED_HOSTS", "RETENTION_DAYS", "HOST", "PORT", "LOG_LEVEL", "IDENTITY_URL", "HEALTH_URLS"),
        *("TOPIC_REPLICATION", "TOPIC_MIN_ISR"),
    )
)
"""Settings of the platform's own processes, which may be in the same environment."""
_PYPROJECT_BYTES_MAX = 1_000_000
_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}

_overrides: dict[str, Any] = {}


def override_settings(values: dict[str, Any]) -> dict[str, Any]:
    """Let these settings come before every source; an empty dict ends this. Returns those of before.

    For tests: the code under test may call ``ams.init``.
    """
    global _overrides
    before, _overrides = _overrides, values
    return before


def read_settings(**arguments: object) -> SdkSettings | None:
    """The settings, or None when tracing stays off; then one warning says why.

    Args:
        **arguments: Of ``ams.init``, by the names of ``SdkSettings``; None means that the caller did not say.
    """
    _warn_of_unknown_names()
    values = {**_of_pyproject(Path.cwd), **_of_environment(os.environ), **_of_arguments(arguments), **_overrides}
    values["api_key"] = str(values.get("api_key", "")).strip()
    values["endpoint"] = str(values.get("endpoint", "")).strip().rstrip("/") or ENDPOINT_DEFAULT
    settings = SdkSettings(**values)
    if settings.capture == "none":
        return None
    fault = _fault(settings) if settings.remote else None
    if fault is not None:
        logger.warning("AMS: %s", fault)
        return None
    return settings


def _fault(settings: SdkSettings) -> str | None:
    """Why nothing can be sent with these settings, and what to change."""
    key, base = settings.api_key, settings.endpoint
    if not key:
        return f"no API key, so nothing is traced. Set AMS_API_KEY (or call ams.init(api_key=...)). Create a key at {base} under API keys."
    if "..." in key:
        return (
            f"the API key 'ams_...' is the placeholder of the documentation, so nothing is traced. Create a key at {base} under API keys."
        )
    if not _is_url(base):
        return f"{base!r} is not the address of a server, so nothing is traced. Set AMS_ENDPOINT to an address such as {ENDPOINT_DEFAULT}."
    if not (key.isascii() and key.isprintable()):
        return "the API key contains characters that no key has, so nothing is traced. Copy the key again."
    return None


def _of_arguments(arguments: Mapping[str, object]) -> dict[str, Any]:
    return {
        name: _checked(name, value, f"ams.init({name}=...)") for name, value in arguments.items() if value is not None and name in NAMES
    }


def _of_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        name = environment_name(setting.name)
        text = environment.get(name, "").strip()
        if text:
            _take(values, setting, text, name)
    return values


def _of_pyproject(folder: Callable[[], Path]) -> dict[str, Any]:
    """``[tool.ams]`` of the nearest pyproject.toml, from the working directory upwards."""
    try:
        here = folder()
        path = next((found for parent in (here, *here.parents) if (found := parent / "pyproject.toml").is_file()), None)
        if path is None or path.stat().st_size > _PYPROJECT_BYTES_MAX:
            return {}
        text = path.read_text(encoding="utf-8")
        if "tool.ams" not in text:  # most projects have no such table, and need no parser
            return {}
        table = import_module("tomllib").loads(text).get("tool", {}).get("ams", {})
    except (OSError, ValueError) as error:
        logger.warning("AMS: pyproject.toml cannot be read (%s); its settings are ignored.", type(error).__name__)
        return {}
    values: dict[str, Any] = {}
    by_name = {setting.name: setting for setting in SETTINGS}
    for name, value in table.items() if isinstance(table, dict) else ():
        where = f"{name} in [tool.ams] of {path}"
        if name not in by_name:
            logger.warning("AMS: %s is not a setting of the SDK.", where)
        elif by_name[name].metadata["secret"]:
            logger.warning("AMS: %s is ignored, because the file is committed. Set %s instead.", where, environment_name(name))
        else:
            _take(values, by_name[name], value, where)
    return values


def _take(values: dict[str, Any], setting: Field[Any], value: object, where: str) -> None:
    try:
        values[setting.name] = _checked(setting.name, _converted(setting, value), where)
    except (TypeError, ValueError):
        kind = "one of " + ", ".join(choices) if (choices := setting.metadata["choices"]) else _kind_of(setting)
        logger.warning("AMS: %s is %r, but must be %s. It is ignored.", where, str(value)[:100], kind)


def _kind_of(setting: Field[Any]) -> str:
    kind = setting.type
    if kind is bool:
        return "true or false"
    if kind in {int, float}:
        return "a number of at least 0"
    return "a text" if kind is str or isinstance(kind, UnionType) else "of another type"


def _converted(setting: Field[Any], value: object) -> object:
    """A text of the environment, or a value of a file, as the setting's type."""
    kind = setting.type
    if kind is bool:
        return value if isinstance(value, bool) else _WORDS[str(value).lower()] if str(value).lower() in _WORDS else _wrong()
    if kind is int:
        return int(value) if isinstance(value, int | str) and not isinstance(value, bool) else _wrong()
    if kind is float:
        return float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else _wrong()
    if setting.name == "tags":
        if isinstance(value, dict):
            return {str(key): str(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        pairs = [pair.partition("=") for pair in str(value).split(",") if pair.strip()]
        return {key.strip(): item.strip() for key, _, item in pairs} if all(mark for _, mark, _ in pairs) else _wrong()
    return value if isinstance(value, str) else _wrong()


def _wrong() -> object:
    raise ValueError


def _checked(name: str, value: Any, where: str) -> Any:
    setting = next(setting for setting in SETTINGS if setting.name == name)
    choices = setting.metadata["choices"]
    if choices and value not in choices:
        if where.startswith("ams.init"):
            logger.warning("AMS: %s is %r, but must be one of %s. The default is used.", where, value, ", ".join(choices))
            return setting.default
        raise ValueError
    if isinstance(value, int | float) and value < 0:
        raise ValueError
    return value


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _warn_of_unknown_names() -> None:
    unknown = sorted(
        name
        for name in os.environ
        if name.startswith("AMS_") and name not in OWN_NAMES | PLATFORM_NAMES and not name.startswith("AMS_TEST_")
    )
    if unknown:
        meant = [close for name in unknown for close in get_close_matches(name, OWN_NAMES, n=1)]
        hint = f" Did you mean {meant[0]}?" if meant else ""
        logger.warning("AMS: %s in the environment is not a setting of the SDK.%s", ", ".join(unknown), hint)
