"""Knows the addresses to which no request may ever go, in any spelling: metadata services, link-local, multicast."""

from __future__ import annotations

import ipaddress
import socket
import unicodedata

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Cloud metadata services outside the link-local ranges: Alibaba, Oracle, Azure (WireServer), AWS and Google over IPv6.
_METADATA = frozenset(
    map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"))
)
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def plain_host(host: str) -> str:
    """Return a host's name as name servers compare it: no wide digits, no dot at the end, small letters."""
    return unicodedata.normalize("NFKC", host).replace("\u3002", ".").rstrip(".").casefold()


def address_in(host: str) -> Address | None:
    """Return the address that ``host`` spells, None if it is a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    # 2852039166, 0xA9FEA9FE, 0251.0376.0251.0376 and 169.254.43518 are addresses to the C library.
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def is_forbidden_name(host: str) -> bool:
    """Return True if ``host`` is no name, or the name of a cloud's metadata service."""
    return not host or host in _METADATA_NAMES or "%" in host


def is_forbidden(address: Address) -> bool:
    """Return True for a link-local, multicast, unspecified or metadata address, also one inside an IPv6 address."""
    return any(
        one.is_link_local or one.is_multicast or one.is_unspecified or one in _METADATA
        for one in (address, *_embedded(address))
    )


def _embedded(address: Address) -> tuple[Address, ...]:
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    inside = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    low = int(address) & 0xFFFFFFFF
    if address in _NAT64 or int(address) >> 32 == 0:
        inside.append(ipaddress.IPv4Address(low))
    # ::1 is loopback, not the IPv4 address 0.0.0.1.
    return tuple(one for one in inside if one is not None and not address.is_loopback)
