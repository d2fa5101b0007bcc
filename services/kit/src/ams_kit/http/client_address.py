"""The address of a client, behind the proxies that an operator names in ``AMS_TRUSTED_PROXIES``."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from litestar.types import Scope

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

HOPS_MAX = 10


def parse_networks(text: str) -> tuple[Network, ...]:
    """Parse networks and addresses with commas between.

    Raises:
        ValueError: One of them is neither.
    """
    return tuple(ip_network(item.strip()) for item in text.split(",") if item.strip())


def parse_address(text: str) -> Address | None:
    """Parse an address; one that IPv6 writes for IPv4 becomes the latter. ``None`` when it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def address_behind(peer: Address | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> Address | None:
    """The last address, seen from here, that is not a trusted proxy's."""
    for text in reversed(forwarded):
        if peer is None or not is_in(peer, trusted):
            return peer
        peer = parse_address(text.strip()) or peer
    return peer


def is_in(address: Address, networks: Sequence[Network]) -> bool:
    """Whether an address is in one of the networks."""
    return any(address.version == network.version and address in network for network in networks)


def address_of(scope: Scope, trusted: Sequence[Network]) -> Address | None:
    """The client's address: the peer's, or, when the peer is a trusted proxy, the one that the proxy appended to ``X-Forwarded-For``."""
    client = scope.get("client")
    forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return address_from(client[0] if client else "", forwarded, trusted)


def address_from(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> Address | None:
    """The client's address from the peer's and the values of ``X-Forwarded-For``."""
    return address_behind(parse_address(peer), ",".join(forwarded).split(",")[-HOPS_MAX:], trusted)
