"""The connection settings of Kafka: addresses, TLS and SASL, from ``AMS_KAFKA_*``. Independent of any client library."""

import re
import ssl
from pathlib import Path
from typing import Literal, get_args

from msgspec import Struct

from ams_kit.settings import SettingsError

SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
OAUTHBEARER = "OAUTHBEARER"
_TOKEN_URL = re.compile(r"https://\S+|http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?(/\S*)?")  # the client's secret travels to it
_SECRET = re.compile(
    "password|secret|headers|_url$"
)  # fields of a settings struct that are not printed; addresses of databases hold passwords
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:,\[\]]+):[0-9]{1,5}")


class KafkaSettings(Struct, frozen=True, kw_only=True):
    """The addresses of the brokers and how to authenticate. Its ``repr`` omits the password.

    Attributes:
        bootstrap: ``host:port``, several separated by commas.
        tls: Encrypt the connections and verify the brokers' certificates and names.
        tls_ca_file: Trusted CA certificates, PEM. Empty: those of the system.
        tls_cert_file: The client's certificate, PEM, for mutual TLS. Empty: none.
        tls_key_file: The certificate's private key, PEM, not encrypted.
        sasl_mechanism: ``PLAIN``, ``SCRAM-SHA-256``, ``SCRAM-SHA-512`` or ``OAUTHBEARER``. Empty: no authentication.
        sasl_user: The user name; with ``OAUTHBEARER`` the client's id.
        sasl_password: The password; with ``OAUTHBEARER`` the client's secret.
        oauth_token_url: Where access tokens come from, by the client credentials grant. Only with ``OAUTHBEARER``.
        oauth_scope: What they are asked for. Empty: the server's default.
    """

    bootstrap: str
    tls: bool = False
    tls_ca_file: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    sasl_mechanism: SaslMechanism | Literal[""] = ""
    sasl_user: str = ""
    sasl_password: str = ""
    oauth_token_url: str = ""
    oauth_scope: str = ""

    def __post_init__(self) -> None:
        """Refuse invalid combinations.

        Raises:
            SettingsError: A setting is invalid. The message names it, without any value.
        """
        if not all(_ADDRESS.fullmatch(address.strip()) for address in self.bootstrap.split(",")):
            raise SettingsError("AMS_KAFKA_BOOTSTRAP must be host:port, several separated by commas")
        files = {"CA": self.tls_ca_file, "CERT": self.tls_cert_file, "KEY": self.tls_key_file}
        for name, file in files.items():
            if file and not self.tls:
                raise SettingsError(f"AMS_KAFKA_TLS_{name}_FILE needs AMS_KAFKA_TLS=true")
            if file and not Path(file).is_file():
                raise SettingsError(f"AMS_KAFKA_TLS_{name}_FILE does not name a readable file")
        if bool(self.tls_cert_file) != bool(self.tls_key_file):
            raise SettingsError("AMS_KAFKA_TLS_CERT_FILE and AMS_KAFKA_TLS_KEY_FILE must be set together")
        if self.sasl_mechanism not in ("", *get_args(SaslMechanism)):
            raise SettingsError(f"AMS_KAFKA_SASL_MECHANISM must be one of {', '.join(get_args(SaslMechanism))}")
        if self.sasl_mechanism and not (self.sasl_user and self.sasl_password):
            raise SettingsError("AMS_KAFKA_SASL_MECHANISM needs AMS_KAFKA_SASL_USER and AMS_KAFKA_SASL_PASSWORD")
        if not self.sasl_mechanism and (self.sasl_user or self.sasl_password):
            raise SettingsError("AMS_KAFKA_SASL_USER and AMS_KAFKA_SASL_PASSWORD need AMS_KAFKA_SASL_MECHANISM")

        self._check_oauth()

    def _check_oauth(self) -> None:
        if (self.sasl_mechanism == OAUTHBEARER) != bool(self.oauth_token_url):
            raise SettingsError("AMS_KAFKA_OAUTH_TOKEN_URL and AMS_KAFKA_SASL_MECHANISM=OAUTHBEARER must be set together")
        if self.oauth_token_url and not _TOKEN_URL.fullmatch(self.oauth_token_url):
            raise SettingsError("AMS_KAFKA_OAUTH_TOKEN_URL must be an https address")
        if self.oauth_scope and not self.oauth_token_url:
            raise SettingsError("AMS_KAFKA_OAUTH_SCOPE needs AMS_KAFKA_OAUTH_TOKEN_URL")

    def __repr__(self) -> str:
        return f"KafkaSettings(bootstrap={self.bootstrap!r}, security_protocol={self.security_protocol!r})"

    @property
    def security_protocol(self) -> Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]:
        """Kafka's name for this combination of TLS and SASL."""
        if self.sasl_mechanism:
            return "SASL_SSL" if self.tls else "SASL_PLAINTEXT"
        return "SSL" if self.tls else "PLAINTEXT"

    def ssl_context(self) -> ssl.SSLContext | None:
        """Build the TLS context, or return ``None`` without TLS.

        Raises:
            SettingsError: A file is not in PEM, or the certificate and the key do not match.
        """
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.tls_ca_file or None)
            if self.tls_cert_file:
                context.load_cert_chain(self.tls_cert_file, self.tls_key_file)
        except (ssl.SSLError, OSError) as error:
            raise SettingsError(
                "the files of AMS_KAFKA_TLS_CA_FILE, AMS_KAFKA_TLS_CERT_FILE or AMS_KAFKA_TLS_KEY_FILE cannot be used: check that they are PEM files"
            ) from error
        return context


class KafkaEnvironment(Struct, frozen=True, kw_only=True):
    """The settings ``AMS_KAFKA_*`` of a process, a base class of its settings struct. ``KafkaSettings`` describes each."""

    kafka_bootstrap: str
    kafka_tls: bool = False
    kafka_tls_ca_file: str = ""
    kafka_tls_cert_file: str = ""
    kafka_tls_key_file: str = ""
    kafka_sasl_mechanism: str = ""
    kafka_sasl_user: str = ""
    kafka_sasl_password: str = ""
    kafka_oauth_token_url: str = ""
    kafka_oauth_scope: str = ""

    def __post_init__(self) -> None:
        if self.kafka_bootstrap:
            self.kafka.ssl_context()  # so that a wrong setting ends the process at its start, not at its first connection

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.__struct_fields__ if not _SECRET.search(name)}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def kafka(self) -> KafkaSettings:
        """The settings as ``KafkaSettings``.

        Raises:
            SettingsError: A setting is invalid.
        """
        return KafkaSettings(
            bootstrap=self.kafka_bootstrap,
            tls=self.kafka_tls,
            tls_ca_file=self.kafka_tls_ca_file,
            tls_cert_file=self.kafka_tls_cert_file,
            tls_key_file=self.kafka_tls_key_file,
            sasl_mechanism=self.kafka_sasl_mechanism,  # type: ignore[arg-type]  # checked there
            sasl_user=self.kafka_sasl_user,
            sasl_password=self.kafka_sasl_password,
            oauth_token_url=self.kafka_oauth_token_url,
            oauth_scope=self.kafka_oauth_scope,
        )
