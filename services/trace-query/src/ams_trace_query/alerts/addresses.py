"""To which addresses webhooks are sent: to those of the internet, and to networks that the operator names."""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_network

from ams_kit.http.client_address import Address, Network, is_in, parse_address

RESOLVE_SECONDS = 3
_REFUSED = tuple(
    # the first four carry an IPv4 address, which may be an internal one; the last are site-local, which Python calls global
    ip_network(text)
    for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "fec0::/10")
)


class AddressRefusedError(Exception):
    """The host has no address that webhooks may be sent to. The text is for people and names no address."""


async def resolve(host: str, port: int, allowed: Sequence[Network]) -> str:
    """Resolve a host once, for a connection to exactly that address: a name that resolves to something else a moment later changes nothing.

    Args:
        host: A name or an address.
        port: To connect to.
        allowed: Networks that are allowed although they are not the internet's.

    Returns:
        The first address, if all addresses of the host are allowed.

    Raises:
        AddressRefusedError: The host does not resolve, or one of its addresses is not allowed.
    """
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise AddressRefusedError("The host of the webhook does not resolve to an address.") from error
    addresses = [parse_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not addresses or any(address is None or not is_allowed(address, allowed) for address in addresses):
        raise AddressRefusedError(
            "The host of the webhook has a private, loopback or other internal address. AMS_WEBHOOK_NETWORKS allows networks."
        )
    return str(addresses[0])


def is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether a webhook may be sent to an address."""
    if is_in(address, allowed):
        return True
    if isinstance(address, IPv6Address) and is_in(address, _REFUSED):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved
