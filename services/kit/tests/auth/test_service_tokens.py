"""Authentication between services."""

import time

import jwt
import pytest

from ams_kit.auth.service_tokens import service_token, verify_service_token
from ams_kit.errors import UnauthenticatedError

SECRET = "shared"


def test_a_service_is_identified_by_its_token() -> None:
    assert verify_service_token(service_token(SECRET, "identity", "trace-query"), SECRET, "identity") == "trace-query"


@pytest.mark.parametrize(
    ("token", "why"),
    [
        (service_token("other", "identity", "x"), "another secret"),
        (service_token(SECRET, "trace-query", "x"), "another target"),
        (service_token(SECRET, "identity", "x", now_s=time.time() - 75), "too old"),
        (service_token(SECRET, "identity", "x", now_s=time.time() + 3_600), "from the future"),
        (jwt.encode({"iss": "x", "aud": "identity", "iat": 1, "exp": 9_999_999_999}, "k" * 32), "another key"),
        ("", "empty"),
        ("a.b.c", "nonsense"),
        ("x" * 10_000, "too long"),
    ],
)
def test_invalid_service_tokens_are_refused(token: str, why: str) -> None:
    with pytest.raises(UnauthenticatedError):
        verify_service_token(token, SECRET, "identity")
