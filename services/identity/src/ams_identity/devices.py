"""Device cookies: a browser that has signed in to an account is known to it, so failures elsewhere do not keep its owner out.

The cookie is a counter's name, not a credential: with it, an attacker has ten more guesses in 15 minutes and nothing else.
"""

import hashlib
import hmac
import re
from typing import Any

from litestar import Request
from litestar.datastructures import Cookie
from msgspec import Struct

from ams_identity.context import IdentityContext, context_of
from ams_identity.ids import random_text
from ams_kit.auth.encoding import encode_base64url

COOKIE_PREFIX = "ams_device_"
DEVICE_SECONDS = 180 * 86_400
DEVICE_ID_CHARS = 22
_VALUE = re.compile(rf"([0-9A-Za-z]{{{DEVICE_ID_CHARS}}})\.([0-9]{{1,12}})\.([A-Za-z0-9_-]{{43}})")


class Device(Struct, frozen=True):
    """A browser that has signed in. ``value`` is the cookie's."""

    device_id: str
    value: str


def _name(user_id: str) -> str:
    return COOKIE_PREFIX + hashlib.sha256(user_id.encode()).hexdigest()[:12]


def _value(key: bytes, user_id: str, device_id: str, issued_s: int) -> str:
    mac = hmac.new(key, f"{user_id}.{device_id}.{issued_s}".encode(), hashlib.sha256).digest()
    return f"{device_id}.{issued_s}.{encode_base64url(mac)}"


def known_device(request: Request[Any, Any, Any], user_id: str) -> Device | None:
    """The device that sent a request, if it has signed in to the account within 180 days."""
    context = context_of(request)
    value = request.cookies.get(_name(user_id), "")
    match = _VALUE.fullmatch(value)
    if match is None:
        return None
    device_id, issued_s = match[1], int(match[2])
    if not hmac.compare_digest(value, _value(context.device_key, user_id, device_id, issued_s)):
        return None
    return Device(device_id, value) if 0 <= context.now_s() - issued_s + 60 <= DEVICE_SECONDS else None


def device_cookie(context: IdentityContext, request: Request[Any, Any, Any], user_id: str, path: str) -> Cookie:
    """The cookie of a browser that has just signed in: its own, or a new one."""
    device = known_device(request, user_id)
    value = device.value if device is not None else _value(context.device_key, user_id, random_text(DEVICE_ID_CHARS), int(context.now_s()))
    return Cookie(
        key=_name(user_id),
        value=value,
        path=path,
        max_age=DEVICE_SECONDS,
        httponly=True,
        secure=context.policy.cookie_secure,
        samesite="strict",
    )
