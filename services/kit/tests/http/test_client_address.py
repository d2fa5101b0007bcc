"""The address of a client behind proxies."""

import pytest

from ams_kit.http.client_address import address_behind, parse_address, parse_networks

TRUSTED = parse_networks("127.0.0.1,10.0.0.0/8,2001:db8::/32")


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["198.51.100.1", "203.0.113.9", "10.1.2.3"], "203.0.113.9"),
        ("127.0.0.1", ["", "garbage"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("::ffff:127.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db8::1", ["2001:470::5"], "2001:470::5"),
        ("127.0.0.1", ["10.0.0.1"] * 10, "10.0.0.1"),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str, forwarded: list[str], expected: str) -> None:
    assert str(address_behind(parse_address(peer), forwarded, TRUSTED)) == expected


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    assert str(address_behind(parse_address("127.0.0.1"), ["203.0.113.9"], ())) == "127.0.0.1"


@pytest.mark.parametrize("text", ["gateway", "10.0.0.0/33", "10.0.0.1/8", "1.2.3.4;5.6.7.8"])
def test_a_setting_that_is_no_list_of_networks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not appear|Octet|host bits|Invalid|does not"):
        parse_networks(text)
