"""Proxies whose word counts: they say where a request comes from, and, if they are asked, who makes it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.settings import Settings

_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}", re.ASCII)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Proxies:
    """Which peers are trusted proxies, and which of their headers say who comes. Names are in small letters."""

    networks: tuple[Network, ...]
    user_header: str
    """Empty: proxies do not say who comes."""
    role_header: str
    """Empty: they do not say in which role."""

    @classmethod
    def of(cls, settings: Settings) -> Proxies:
        """What the settings say. Raises SettingsError when they trust a header of everybody."""
        for name, header in (("USER", settings.user_header), ("ROLE", settings.role_header)):
            if header and not _HEADER.fullmatch(header):
                raise SettingsError(f"MEDIAJOBS_{name}_HEADER: {header!r} is no name of a header.")
        if settings.user_header and not settings.trusted_proxy:
            raise SettingsError(
                "MEDIAJOBS_USER_HEADER is set, but not MEDIAJOBS_TRUSTED_PROXY: anybody could send that header. Set it "
                "to the address of the proxy, such as 10.0.0.7 or 10.0.0.0/28."
            )
        return cls(settings.trusted_proxy, settings.user_header.lower(), settings.role_header.lower())

    def include(self, peer: str | None) -> bool:
        """Whether a connection from that address is a proxy's."""
        return (address := _address(peer or "")) is not None and any(address in each for each in self.networks)

    def client(self, peer: str | None, forwarded: Sequence[str]) -> str:
        """Where a request comes from: the peer, or what the nearest proxies of ours say of it (`X-Forwarded-For`)."""
        if not self.include(peer):
            return peer or ""
        hops = [_without_port(each.strip()) for text in forwarded for each in text.split(",")]
        # The last one was written by our own proxy; what stands before was sent by whoever came to it.
        for hop in reversed(hops):
            if not self.include(hop):
                return str(_address(hop) or peer)
        return peer or ""


def _without_port(hop: str) -> str:
    """Some proxies write `1.2.3.4:5678`, and `[2001:db8::1]:5678`."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
