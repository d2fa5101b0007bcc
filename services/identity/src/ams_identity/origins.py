"""Requests that the cookie alone makes good must come from the platform's own pages."""

from typing import Any
from urllib.parse import urlsplit

from litestar import Request

from ams_kit.errors import ForbiddenError, UnsupportedError


def require_same_origin(request: Request[Any, Any, Any], issuer: str) -> None:
    """Refuse what another site's page sends with our cookie. ``SameSite`` should have kept it away already.

    Args:
        request: A request to a route that reads the refresh cookie.
        issuer: The public URL.

    Raises:
        UnsupportedError: It carries a form's content type.
        ForbiddenError: Its ``Origin`` or ``Sec-Fetch-Site`` says that it comes from elsewhere.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in {"", "application/json"}:
        raise UnsupportedError("Send Content-Type: application/json, or no body.")
    origin = request.headers.get("origin")
    ours = {urlsplit(issuer).netloc.lower(), request.headers.get("host", "").lower()}
    if request.headers.get("sec-fetch-site") == "cross-site" or (origin is not None and urlsplit(origin).netloc.lower() not in ours):
        raise ForbiddenError("This comes from another site.", code="cross_site")
