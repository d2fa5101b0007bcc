"""The transport ``kafka``: publishes to ``ams.inbound.v1`` what ``https`` posts to ``/v1/batches``.

Needs the extra ``ams-tracing[kafka]``. The platform exchanges the API key for a token that signs each record for an hour, and names the broker.
The event loop runs in the sender's thread, only while a request is sent.
"""

import asyncio
import contextlib
import logging
import ssl
import threading
from importlib import import_module
from time import monotonic
from typing import Any, NamedTuple

import httpx
import msgspec
from opentelemetry import context as otel_context

from ams.sending.https import NotOurs, hide_own_requests, outcome_of, reason_of, suppressed
from ams.sending.transport import Delivered, Later, Malformed, Outcome, Refused, TooLarge
from ams.settings import SdkSettings, is_loopback
from ams.version import __version__
from ams_contracts.claims import INBOUND_AUDIENCE, InboundGrant
from ams_contracts.native import NativeAnswer

TOKEN_PATH = "/api/auth/token"  # noqa: S105 - a path
RECORD_BYTES_MAX = 2_000_000  # the broker takes 2 MiB with headers and key
REFRESH_FRACTION = 0.8  # of a token's life
EXPIRY_MARGIN_SECONDS = 60.0  # the broker's clock decides, when the record arrives
_OK = 200
_NOT_JSON = (400, 422)
_LOGGERS = (
    "aiokafka", "aiokafka.client", "aiokafka.cluster", "aiokafka.conn", "aiokafka.producer.message_accumulator", "aiokafka.producer.producer",
    "aiokafka.producer.sender", "asyncio",
)  # fmt: skip
_BY_PASSWORD = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_grant = msgspec.json.Decoder(InboundGrant)


class _BrokerLog(NotOurs):
    """Keeps aiokafka's log out of the agent's, and its last error of this thread: the exception after it does not say why no broker was reached."""

    def __init__(self) -> None:
        super().__init__()
        self._last = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            self._last.text = record.getMessage()
        return super().filter(record)

    def take(self) -> str:
        """The last error since the previous call."""
        text, self._last.text = getattr(self._last, "text", ""), ""
        return text


_broker_log = _BrokerLog()


class _SettingsError(Exception):
    """A setting must change before the broker can be used; the text is for the person who sets it."""


class _Batch(msgspec.Struct):
    """As much of a batch as the transport reads."""

    events: list[msgspec.Raw]
    task_id: str | None = None


class _Request(msgspec.Struct):
    batches: list[msgspec.Raw]


class _Token(NamedTuple):
    grant: InboundGrant
    refresh_at: float
    expires_at: float


_request = msgspec.json.Decoder(_Request)
_batch = msgspec.json.Decoder(_Batch)


class KafkaTransport:
    """Publishes each batch as a record with the key ``project:task``: idempotent, acknowledged by every in-sync replica, compressed by zstd.

    ``Delivered`` means that the records are durable. AMS checks the events later; what it refuses is a dead letter of the project.
    """

    def __init__(self, settings: SdkSettings) -> None:
        self._settings = settings
        self._url = settings.endpoint + TOKEN_PATH
        self._loop: asyncio.AbstractEventLoop | None = None
        self._producer: Any = None
        self._token: _Token | None = None
        self._client = httpx.Client(
            timeout=httpx.Timeout(settings.request_timeout_seconds, connect=min(5.0, settings.request_timeout_seconds)),
            headers={"user-agent": f"ams-tracing/{__version__}"},
            trust_env=not is_loopback(settings.endpoint),
            limits=httpx.Limits(max_connections=1, keepalive_expiry=30),
        )
        hide_own_requests()
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(_broker_log)

    def post(self, body: bytes) -> Outcome:
        try:
            batches = [(raw, _batch.decode(raw)) for raw in _request.decode(body).batches]
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            return Malformed(str(error)[:200])
        token = self._current_token()
        if not isinstance(token, InboundGrant):
            return token
        _broker_log.take()  # of an earlier request
        try:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
            return self._loop.run_until_complete(self._publish(token, batches))
        except _SettingsError as error:
            return Refused(str(error))
        except TimeoutError:
            return Later(f"the broker at {self._bootstrap(token)} did not acknowledge within {self._settings.request_timeout_seconds:g} s")
        except Exception as error:  # noqa: BLE001 - brokers, certificates, name resolution: the agent continues in any case
            return _outcome_of_error(error, self._bootstrap(token))

    def close(self) -> None:
        loop, self._loop = self._loop, None
        producer, self._producer = self._producer, None
        self._client.close()
        if loop is None:
            return
        with contextlib.suppress(Exception):  # what was acknowledged is settled already
            if producer is not None:
                loop.run_until_complete(asyncio.wait_for(producer.stop(), 1))
        loop.close()

    # -- the token

    def _current_token(self) -> InboundGrant | Outcome:
        """The token to sign with; an outcome when there is none."""
        known, now = self._token, monotonic()
        if known is not None and now < known.refresh_at:
            return known.grant
        fresh = self._exchange()
        if isinstance(fresh, InboundGrant):
            life = float(fresh.expires_in)
            self._token = _Token(fresh, now + life * REFRESH_FRACTION, now + life - min(EXPIRY_MARGIN_SECONDS, life / 10))
            return fresh
        if isinstance(fresh, Later) and known is not None and now < known.expires_at:
            return known.grant  # the platform is down, the broker may not be
        return fresh

    def _exchange(self) -> InboundGrant | Outcome:
        question = {"api_key": self._settings.api_key, "audience": INBOUND_AUDIENCE}
        attached = otel_context.attach(suppressed())
        try:
            response = self._client.post(self._url, json=question)
        except Exception as error:  # noqa: BLE001 - certificates, proxies, name resolution
            return Later(reason_of(error, self._url))
        finally:
            otel_context.detach(attached)
        if response.status_code == _OK:
            try:
                return _grant.decode(response.content)
            except msgspec.DecodeError:
                return Refused(f"The server at {self._settings.endpoint} does not offer the transport kafka. Use AMS_TRANSPORT=https.")
        if response.status_code in _NOT_JSON:
            return Refused(f"The server at {self._settings.endpoint} does not offer the transport kafka. Use AMS_TRANSPORT=https.")
        return outcome_of(response, self._url)

    # -- the broker

    def _bootstrap(self, grant: InboundGrant) -> str:
        return self._settings.kafka_bootstrap or grant.kafka.bootstrap

    async def _publish(self, grant: InboundGrant, batches: list[tuple[msgspec.Raw, _Batch]]) -> Outcome:
        async with asyncio.timeout(self._settings.request_timeout_seconds):
            producer = await self._connected(grant)
            headers = [("v", b"1"), ("authorization", f"Bearer {grant.access_token}".encode())]
            records = [
                (f"{grant.project_id}:{batch.task_id or '@agents'}".encode(), b'{"v":1,"batches":[%b]}' % bytes(raw))
                for raw, batch in batches
            ]
            if any(len(value) > RECORD_BYTES_MAX for _, value in records):
                return TooLarge()
            sent = [await producer.send(grant.kafka.topic, value, key=key, headers=headers) for key, value in records]
            await asyncio.gather(*sent)
        return Delivered(NativeAnswer(accepted=sum(len(batch.events) for _, batch in batches)))

    async def _connected(self, grant: InboundGrant) -> Any:
        if self._producer is None:
            try:
                aiokafka = import_module("aiokafka")
            except ImportError as error:
                raise _SettingsError("the transport kafka needs aiokafka. Install ams-tracing[kafka].") from error
            producer = aiokafka.AIOKafkaProducer(
                bootstrap_servers=self._bootstrap(grant),
                client_id="ams-tracing",
                acks="all",
                enable_idempotence=True,
                compression_type="zstd",
                max_request_size=RECORD_BYTES_MAX + 10_000,
                request_timeout_ms=int(self._settings.request_timeout_seconds * 1_000),
                metadata_max_age_ms=60_000,
                **self._security(grant),
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    def _security(self, grant: InboundGrant) -> dict[str, Any]:
        settings, protocol = self._settings, grant.kafka.security.protocol
        options: dict[str, Any] = {"security_protocol": protocol}
        if "SSL" in protocol:
            options["ssl_context"] = _certificates(settings)
        if protocol.startswith("SASL"):
            mechanism = grant.kafka.security.sasl_mechanism or "SCRAM-SHA-512"
            if mechanism not in _BY_PASSWORD:
                raise _SettingsError(
                    f"the broker at {self._bootstrap(grant)} requires {mechanism}, which the transport kafka does not support. "
                    "Use AMS_TRANSPORT=https."
                )
            if not (settings.kafka_sasl_user and settings.kafka_sasl_password):
                raise _SettingsError(
                    f"the broker at {self._bootstrap(grant)} requires a user. Set AMS_KAFKA_SASL_USER and AMS_KAFKA_SASL_PASSWORD."
                )
            options["sasl_mechanism"] = mechanism
            options["sasl_plain_username"] = settings.kafka_sasl_user
            options["sasl_plain_password"] = settings.kafka_sasl_password
        return options


def _certificates(settings: SdkSettings) -> ssl.SSLContext:
    """What to trust, and the client's own certificate.

    Raises:
        _SettingsError: A file is missing, or is not PEM.
    """
    try:
        context = ssl.create_default_context(cafile=settings.kafka_tls_ca_file or None)
    except OSError as error:  # ssl's errors, too
        raise _SettingsError(f"AMS_KAFKA_TLS_CA_FILE={settings.kafka_tls_ca_file} cannot be read: {error}") from error
    if settings.kafka_tls_cert_file:
        try:
            context.load_cert_chain(settings.kafka_tls_cert_file, settings.kafka_tls_key_file or None)
        except OSError as error:
            files = f"AMS_KAFKA_TLS_CERT_FILE={settings.kafka_tls_cert_file} and its key AMS_KAFKA_TLS_KEY_FILE"
            raise _SettingsError(f"{files} cannot be read: {error}") from error
    return context


def _outcome_of_error(error: Exception, bootstrap: str) -> Outcome:
    name = type(error).__name__
    if name == "MessageSizeTooLargeError":
        return TooLarge()
    if name in {"TopicAuthorizationFailedError", "ClusterAuthorizationFailedError"}:
        return Refused(
            f"the broker at {bootstrap} does not let this user write to the inbound topic. Check AMS_KAFKA_SASL_USER and its rights."
        )
    cause = _broker_log.take() or f"{name}: {error}"
    if "AuthenticationFailed" in cause:
        return Refused(
            f"the broker at {bootstrap} does not accept the user or the password. Check AMS_KAFKA_SASL_USER and AMS_KAFKA_SASL_PASSWORD."
        )
    if "CERTIFICATE_VERIFY_FAILED" in cause:
        return Refused(f"the certificate of the broker at {bootstrap} is not trusted. Check AMS_KAFKA_TLS_CA_FILE. {cause}"[:300])
    return Later(f"the broker at {bootstrap}: {cause}"[:300])
