"""Knows the addresses to which no request may ever go, in any spelling: metadata services, link-local, multicast."""

from __future__ import annotations

import enum
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
_LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
_NAT64_BYTES = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15))
"""Places of the IPv4 address behind a prefix of 48, 56, 64 or 96 bits (RFC 6052, section 2.2)."""
_PRIVATE = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))
)
"""Addresses inside a home, a company or a provider's network (RFC 1918, 6598 and 4193)."""


class Reach(enum.IntEnum):
    """How far away an address is; a larger number is nearer."""

    ANYWHERE = 0
    PRIVATE_NETWORK = 1
    THIS_MACHINE = 2


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


def spells_forbidden(host: str) -> bool:
    """Return True if a plain host is a forbidden name, or spells a forbidden address."""
    spelled = address_in(host)
    return is_forbidden_name(host) or (spelled is not None and is_forbidden(spelled))


def is_loopback(address: Address) -> bool:
    """Return True for a loopback address, also one inside an IPv6 address."""
    return any(one.is_loopback for one in (address, *_embedded(address)))


def reach_of(address: Address) -> Reach:
    """Return how far away an address is, also one inside an IPv6 address."""
    every = (address, *_embedded(address))
    if is_loopback(address) or any(map(_is_own, every)):
        return Reach.THIS_MACHINE
    private = any(one in network for one in every for network in _PRIVATE if one.version == network.version)
    return Reach.PRIVATE_NETWORK if private else Reach.ANYWHERE


def _is_own(address: Address) -> bool:
    """Return True if a network card of this machine has the address: only then can a socket take it."""
    family = socket.AF_INET if isinstance(address, ipaddress.IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as own:
            own.bind((str(address), 0))
    except OSError:
        return False
    return True


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
    if address in _LOCAL_NAT64:
        found = (ipaddress.IPv4Address(bytes(address.packed[at] for at in places)) for places in _NAT64_BYTES)
        inside += [one for one in found if int(one)]
    # ::1 is loopback, not the IPv4 address 0.0.0.1.
    return tuple(one for one in inside if one is not None and not address.is_loopback)
