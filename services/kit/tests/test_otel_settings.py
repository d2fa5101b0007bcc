"""``AMS_OTEL_*``: what is refused at the start, with a sentence that names the setting and omits the value."""

import pytest

from ams_kit.otel_settings import ServiceEnvironment
from ams_kit.settings import SettingsError, load


class Settings(ServiceEnvironment, frozen=True, kw_only=True):
    host: str = "127.0.0.1"
    port: int = 0
    public_url: str = ""


BASE = {"AMS_KAFKA_BOOTSTRAP": "kafka:9092", "AMS_PUBLIC_URL": "https://ams.example.com", "AMS_HOST": "10.0.0.5", "AMS_PORT": "8000"}


def settings(**changes: str) -> Settings:
    return load(Settings, {**BASE, **{f"AMS_{name.upper()}": value for name, value in changes.items()}})


def test_without_an_endpoint_nothing_is_made() -> None:
    assert settings().otel is None


def test_headers_are_decoded_and_appear_nowhere() -> None:
    found = settings(otel_endpoint="http://collector:4318/", otel_headers="Authorization=Basic%20c2VjcmV0, x-tenant=a=b")

    assert found.otel is not None
    assert (found.otel.endpoint, found.otel.headers) == ("http://collector:4318", {"authorization": "Basic c2VjcmV0", "x-tenant": "a=b"})
    assert "c2VjcmV0" not in repr(found) + repr(found.otel)


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://ams.example.com", "https://AMS.example.com:443/otel", "https://ams.example.com.", "http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000",
        "http://10.0.0.5:8000/v1/traces",
    ],
)  # fmt: skip
def test_the_platform_itself_is_no_receiver(endpoint: str) -> None:
    with pytest.raises(SettingsError, match="AMS_OTEL_ENDPOINT is an address of this platform"):
        settings(otel_endpoint=endpoint)


@pytest.mark.parametrize(
    "changes",
    [
        {"otel_endpoint": "collector:4317"},
        {"otel_endpoint": "grpc://collector:4317"},
        {"otel_endpoint": "http://user:secret@collector:4318"},
        {"otel_endpoint": "http://collector:4318?token=secret"},
        {"otel_endpoint": "http://collector:99999"},
        {"otel_endpoint": "http://"},
        {"otel_endpoint": "http://collector:4318", "otel_headers": "secret"},
        {"otel_endpoint": "http://collector:4318", "otel_headers": "a b=secret"},
        {"otel_endpoint": "http://collector:4318", "otel_headers": "a=secret%0d%0ax: y"},
        {"otel_endpoint": "http://collector:4318", "otel_headers": "a=secret%ff"},
        {"otel_headers": "a=secret"},
        {"otel_endpoint": "http://collector:4318", "otel_sample_ratio": "1.1"},
        {"otel_endpoint": "http://collector:4318", "otel_sample_ratio": "-0.1"},
        {"otel_endpoint": "http://collector:4318", "otel_sample_ratio": "nan"},
    ],
)
def test_what_cannot_work_ends_the_process_with_a_sentence(changes: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="AMS_OTEL_") as refused:
        settings(**changes)
    assert "secret" not in str(refused.value)


def test_the_public_address_on_another_port_is_another_server() -> None:
    assert settings(otel_endpoint="https://ams.example.com:4318").otel is not None
    assert settings(otel_endpoint="http://localhost:4318").otel is not None
