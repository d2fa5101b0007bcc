"""``ams.init``, ``ams.flush``, ``ams.shutdown``: the calls that concern the process.

``init`` imports what sends (httpx and more): a program that does not trace should not wait for it.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Unpack

from ams.masking import Mask, Masker
from ams.options import Options
from ams.sending.flush_result import FlushResult
from ams.tracing.followers import follow_processes, follow_threads, join_parent_of_environment
from ams.tracing.handles import current_step
from ams.tracing.runtime import logger, runtime

if TYPE_CHECKING:
    from ams.sending.client import Client
    from ams.settings import SdkSettings

_CLIENT = "ams.sending.client"

__all__ = ["current_step", "flush", "init", "instrument", "shutdown"]


def init(
    api_key: str | None = None,
    *,
    endpoint: str | None = None,
    agent: str | None = None,
    user_id: str | None = None,
    environment: str | None = None,
    tags: Mapping[str, str] | None = None,
    capture_input: bool | None = None,
    capture_output: bool | None = None,
    join_opentelemetry: bool | None = None,
    mask: Mask | Sequence[Mask] = (),
    **options: Unpack[Options],
) -> bool:
    """Start tracing. Starts no thread and opens no connection before the first step.

    A second call ends the tracing of before; steps that are open then continue with the new settings, and their ends go where those say.

    What an argument does not say is read from ``AMS_<NAME>``, then from ``[tool.ams]`` in the nearest pyproject.toml, then it is the default.

    Args:
        api_key: ``ams_...``; default ``AMS_API_KEY``. Without a key there is one warning and tracing stays off.
        endpoint: The address of AMS; default ``AMS_ENDPOINT``, else ``http://localhost:8080``.
        agent: The agent of tasks in which no agent step runs.
        user_id: The user of the tasks of this process, unless a task names another one.
        environment: For example prod or staging.
        tags: Searchable names and values of every task.
        capture_input: False keeps every input out of AMS, including inputs that the code sets, except those of steps with ``capture_input=True``.
        capture_output: The same for outputs and their pieces. Names, log lines and messages of exceptions are still sent.
        join_opentelemetry: Use an active recording span as the parent of a step.
        mask: Functions that get a text of the agent and return what may leave the process; after the replacement of obvious secrets. They run in
            the sender's thread. What a function raises replaces the text completely.
        **options: sample_rate, tail_sample_rate, follow_threads, transport, capture (all, metadata, none), masking (replace obvious secrets), announce (print the first task's address to stderr), and the limits of ``ams.settings.SdkSettings``.

    Returns:
        Whether tracing is on.
    """
    before = _client()
    shutdown(timeout_seconds=2)
    sending: Any = import_module(_CLIENT)
    sending.install(None, handle_sigterm=False)
    sources: Any = import_module("ams.setting_sources")
    settings: SdkSettings | None = sources.read_settings(
        api_key=api_key,
        endpoint=endpoint,
        agent=agent,
        user_id=user_id,
        environment=environment,
        tags=tags,
        capture_input=capture_input,
        capture_output=capture_output,
        join_opentelemetry=join_opentelemetry,
        **options,
    )
    if settings is None:
        return False
    runtime.endpoint = settings.endpoint
    runtime.agent = settings.agent
    runtime.user_id = settings.user_id
    runtime.environment = settings.environment
    runtime.tags = {str(key): str(value) for key, value in (settings.tags or {}).items()}
    runtime.metadata_only = settings.capture == "metadata"
    runtime.capture_input = settings.capture_input and not runtime.metadata_only
    runtime.capture_output = settings.capture_output and not runtime.metadata_only
    functions = (mask,) if callable(mask) else tuple(mask)
    runtime.masker = Masker(functions, obvious=settings.masking, report=lambda: runtime.report_bug("a mask function"))
    runtime.join_opentelemetry = settings.join_opentelemetry
    runtime.sample_rate = settings.sample_rate
    runtime.follow_threads = settings.follow_threads
    if settings.follow_threads:
        follow_threads()
    follow_processes()
    join_parent_of_environment()
    client: Client = sending.Client(settings)
    sending.install(client, handle_sigterm=settings.handle_sigterm)
    if before is not None:
        client.take_over(before)
    return True


def instrument() -> list[str]:
    """Trace the libraries of this program that have an instrumentor of OpenTelemetry, OpenInference or OpenLLMetry, without changes of the code.

    Call it after ``init`` and before the libraries are used. Their spans and native steps are in one tree. It needs ``ams-tracing[otel]``; without it
    there is one warning. Of two instrumentors of one library one is used, and a line says which.

    Returns:
        The distributions whose instrumentor is on.
    """
    try:
        module = import_module("ams.otel.instrument")
    except ModuleNotFoundError as error:
        logger.warning("AMS: ams.instrument() needs %s. Install it with: pip install 'ams-tracing[otel]'", error.name)
        return []
    return module.instrument()


def flush(timeout_seconds: float = 5.0) -> FlushResult:
    """Wait until all events so far are in AMS, at most ``timeout_seconds``, and return the counts."""
    client = _client()
    return client.flush(timeout_seconds) if client is not None else FlushResult(0, 0, 0, 0)


def shutdown(timeout_seconds: float = 5.0) -> FlushResult:
    """Flush and stop tracing. The SDK does this by itself when the process ends."""
    client = _client()
    return client.shutdown(timeout_seconds) if client is not None else FlushResult(0, 0, 0, 0)


def _client() -> "Client | None":
    """The client of this process; there is none before its module was imported."""
    module: Any = sys.modules.get(_CLIENT)
    return None if module is None else module.current_client()
