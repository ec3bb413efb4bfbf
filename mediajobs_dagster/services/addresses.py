"""Which addresses a call may lead to: public ones, and those of the private networks that the settings allow.

An address that a user or a feed names could lead to a database beside us, or to the service that hands a cloud machine
its credentials. What counts is the number that is connected to, never the name: a name may mean another number the next
time it is looked up.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from mediajobs_dagster.errors import AddressRefusedError

Networks = Iterable[IPv4Network | IPv6Network]

_REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        "168.63.129.16/32",  # Azure's host, which hands out credentials: the one of its kind with a public number
        "192.88.99.0/24",  # relays of 6to4, RFC 7526
        "64:ff9b:1::/48",  # NAT64 of one's own network, RFC 8215
        "fec0::/10",  # site-local, before there were unique local addresses, RFC 3879
    )
)
"""Networks that are not public although Python's `is_global` may say so."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_INNER_NAMES = (".localhost", ".local", ".internal", ".home.arpa")
"""How names end that mean something only within one network."""


def check_address(host: str, number: str, allowed: Networks) -> None:
    """Raise AddressRefusedError unless the IP address `number` of `host` is public, or in one of `allowed`."""
    found = ipaddress.ip_address(number.partition("%")[0])
    behind = _behind(found)
    if any(each in network for each in {found, behind} for network in allowed):
        return
    if not _is_public(found) or not _is_public(behind):
        shown = host if host == number else f"{host} ({number})"
        raise AddressRefusedError(
            f"{shown} is not a public address. Give an address on the public Internet, or allow its network, such as "
            f"MEDIAJOBS_PRIVATE_ADDRESSES={ipaddress.ip_network(found)}."
        )


def check_number(host: str, allowed: Networks) -> None:
    """As `check_address`, for a host that is yet to be looked up: refuses what is itself a private number."""
    if (number := _number_of(host)) is not None:
        check_address(host, number, allowed)


def check_name(host: str, allowed: Networks) -> None:
    """As `check_address`, for a host that a proxy looks up: refuses private numbers, and names of inner networks.

    All else is up to the proxy, which alone knows what it connects to.
    """
    if (number := _number_of(host)) is not None:
        check_address(host, number, allowed)
    elif "." not in host.rstrip(".") or f".{host.rstrip('.').lower()}".endswith(_INNER_NAMES):
        raise AddressRefusedError(f"{host} is a name of a private network. Give an address on the public Internet.")


def _number_of(host: str) -> str | None:
    """The IP address that `host` writes, in any of the ways that programs understand, such as 2130706433."""
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not address.is_multicast and not any(address in network for network in _REFUSED)


def _behind(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address leads to by its form; else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1]) or address
