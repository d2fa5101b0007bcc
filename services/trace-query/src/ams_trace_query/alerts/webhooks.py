"""Sends webhooks: to an address that was resolved once and is allowed, without redirects, within a time limit, and without reading the response."""

import asyncio
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import httpx
from msgspec import Struct

from ams_kit.errors import InvalidError
from ams_kit.http.client_address import Network, is_in, parse_address
from ams_kit.names import has_control_characters
from ams_trace_query.alerts.addresses import AddressRefusedError, resolve
from ams_trace_query.alerts.notices import AlertNotice, WebhookFormat, body_of, headers_of
from ams_trace_query.alerts.sealing import WebhookSecrets

SEND_SECONDS = 10
URL_BYTES_MAX = 2_048
HOST_BYTES_MAX = 253  # of a name of DNS


class Outcome(Struct, frozen=True):
    """What became of an attempt.

    Attributes:
        status: Of HTTP; null: no response was received.
        problem: Why it is not delivered, for people; null: it is.
    """

    status: int | None
    problem: str | None


class WebhookSender:
    """Sends notices. One per process.

    Args:
        public_url: Of the platform, for the links.
        allowed: Networks to which webhooks are sent although they are not the internet's; to these also over http.
        now_s: Seconds since the epoch.
        verify: Whether the certificates of receivers are verified, or an SSL context that does; tests have authorities of their own.
    """

    def __init__(
        self, public_url: str, allowed: Sequence[Network], *, now_s: Callable[[], float] = time.time, verify: object = True
    ) -> None:
        self._public_url = public_url
        self._allowed = allowed
        self._now_s = now_s
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            timeout=SEND_SECONDS,
            verify=verify,  # type: ignore[arg-type]  # a bool or an SSL context
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=0),  # a connection is for one address of one host
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(self, notice: AlertNotice, format_: WebhookFormat, webhook: WebhookSecrets) -> Outcome:
        """Send a notice once."""
        body = body_of(notice, format_, self._public_url)
        headers = headers_of(notice.event_id, int(self._now_s()), body, webhook.signing_secret)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                return await self._post(webhook.url, body, headers)
        except AddressRefusedError as error:
            return Outcome(None, str(error))
        except (TimeoutError, httpx.TimeoutException):
            return Outcome(None, f"The receiver did not respond within {SEND_SECONDS} s.")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Outcome(None, f"The receiver could not be reached ({type(error).__name__}).")

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> Outcome:
        parsed = httpx.URL(url)
        port = parsed.port or (443 if parsed.scheme == "https" else 80)
        address = await resolve(parsed.host, port, self._allowed)
        known = parse_address(address)
        if parsed.scheme != "https" and (known is None or not is_in(known, self._allowed)):
            return Outcome(None, "A webhook outside of AMS_WEBHOOK_NETWORKS needs https.")
        request = self._client.build_request(
            "POST",
            parsed.copy_with(host=address),
            content=body,
            headers={**headers, "host": parsed.netloc.decode("ascii")},
            extensions={"sni_hostname": parsed.host},  # the certificate is verified for the host, not for the address
        )
        response = await self._client.send(request, stream=True)
        await response.aclose()  # the body is not read
        if response.is_success:
            return Outcome(response.status_code, None)
        what = "redirects, which are not followed" if response.is_redirect else "did not accept the webhook"
        return Outcome(response.status_code, f"The receiver {what} (status {response.status_code}).")


def check_url(url: str) -> str:
    """Check the form of a webhook's URL, and return its host.

    Raises:
        InvalidError: It is no absolute http or https URL, is too long, or names a user.
    """
    refused = InvalidError(
        "The URL of the webhook is not valid. Use an absolute https URL without a user name.", code="invalid_webhook_url"
    )
    if len(url.encode("utf-8", "surrogatepass")) > URL_BYTES_MAX or has_control_characters(url) or " " in url:
        raise refused
    try:
        parts, parsed = urlsplit(url), httpx.URL(url)
        valid = parsed.scheme in {"http", "https"} and parsed.host and not parsed.userinfo and parts.port != 0
    except (ValueError, httpx.InvalidURL):
        raise refused from None
    if not valid or parts.fragment or len(parsed.raw_host) > HOST_BYTES_MAX:
        raise refused
    return parsed.host
