"""Protection against cross-site requests: a request that only a cookie authenticates must come from the platform's own pages."""

from typing import Any
from urllib.parse import urlsplit

from litestar import Request

from ams_kit.errors import ForbiddenError, UnsupportedError


def require_same_origin(request: Request[Any, Any, Any], issuer: str) -> None:
    """Reject a request that another site's page sends with the refresh cookie. A second defence beside ``SameSite``.

    Args:
        request: A request to a route that reads the refresh cookie.
        issuer: The public URL.

    Raises:
        UnsupportedError: Its content type is one that an HTML form can send.
        ForbiddenError: Its ``Origin`` or ``Sec-Fetch-Site`` names another site.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in {"", "application/json"}:
        raise UnsupportedError("The content type is not supported. Send Content-Type: application/json, or no body.")
    origin = request.headers.get("origin")
    ours = {urlsplit(issuer).netloc.lower(), request.headers.get("host", "").lower()}
    if request.headers.get("sec-fetch-site") == "cross-site" or (origin is not None and urlsplit(origin).netloc.lower() not in ours):
        raise ForbiddenError("The request comes from another site.", code="cross_site")
