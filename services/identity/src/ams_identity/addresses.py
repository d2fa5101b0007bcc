"""The address of a client, and the rate limit key of an address."""

from ipaddress import IPv6Address, IPv6Network
from typing import Any

from litestar import Request

from ams_identity.context import context_of
from ams_kit.http.client_address import Address, address_of

IPV6_PREFIX = 64  # providers assign a /64 to one household, so the addresses within it count as one client


def client_address(request: Request[Any, Any, Any]) -> Address | None:
    """The client's address: the peer's, or the one that a trusted proxy appended to ``X-Forwarded-For``."""
    return address_of(request.scope, context_of(request).policy.trusted_proxies)


def address_bucket(address: Address | None) -> str:
    """The rate limit key of an address."""
    return str(IPv6Network((address, IPV6_PREFIX), strict=False)) if isinstance(address, IPv6Address) else str(address)
