"""The address of a client, behind the proxies that an operator names in ``AMS_TRUSTED_PROXIES``."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from litestar import Request

from ams_identity.context import context_of

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

HOPS_MAX = 10
IPV6_PREFIX = 64  # providers assign a /64 to one household, so the addresses within it count as one client


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parse networks and addresses with commas between.

    Raises:
        ValueError: One of them is neither.
    """
    return tuple(ip_network(item.strip()) for item in text.split(",") if item.strip())


def client_address(request: Request[Any, Any, Any]) -> Address | None:
    """The client's address: the peer's, or, when the peer is a trusted proxy, the one that the proxy appended to ``X-Forwarded-For``."""
    peer = _address(request.client.host if request.client else "")
    forwarded = ",".join(value.decode("latin-1") for name, value in request.scope["headers"] if name == b"x-forwarded-for")
    return _behind(peer, forwarded.split(",")[-HOPS_MAX:], context_of(request).policy.trusted_proxies)


def _behind(peer: Address | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> Address | None:
    """The last address, seen from here, that is not a trusted proxy's."""
    for text in reversed(forwarded):
        if peer is None or not any(peer.version == network.version and peer in network for network in trusted):
            return peer
        peer = _address(text.strip()) or peer
    return peer


def _address(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def address_bucket(address: Address | None) -> str:
    """The rate limit key of an address."""
    return str(IPv6Network((address, IPV6_PREFIX), strict=False)) if isinstance(address, IPv6Address) else str(address)
