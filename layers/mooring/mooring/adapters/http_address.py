"""Which addresses an outbound call may reach: decided on the number, never on the name.

A name can answer with another address each time it is asked (DNS rebinding), so the check is made
on the address that is dialled, and once more on the peer of the connected socket.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_IPV6_UNICAST = IPv6Network("2000::/3")
_IPV6_EXAMPLES = IPv6Network("3fff::/20")
_NAT64 = IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR_RELAY = IPv4Network("192.88.99.0/24")


def is_public(address: str) -> bool:
    """Whether a numeric address is one of the public internet (IANA special-purpose registries).

    IPv4 that hides inside IPv6 (mapped, NAT64) is judged as the IPv4 address it reaches.
    """
    return _is_public(_parsed(address))


def is_loopback(address: str) -> bool:
    """Whether a numeric address is this machine's own."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped.is_loopback
    return parsed is not None and parsed.is_loopback


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None


def _is_public(address: IPv4Address | IPv6Address | None) -> bool:
    match address:
        case IPv4Address():
            return address.is_global and not address.is_multicast and address not in _SIX_TO_FOUR_RELAY
        case IPv6Address() if address.ipv4_mapped:
            return _is_public(address.ipv4_mapped)
        case IPv6Address() if address in _NAT64:
            return _is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
        case IPv6Address():
            # The second block for examples (RFC 9637) is younger than Python's own table.
            return address in _IPV6_UNICAST and address not in _IPV6_EXAMPLES and address.is_global
    return False
