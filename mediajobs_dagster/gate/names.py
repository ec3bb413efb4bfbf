"""The names by which browsers reach this server, and the origins that are its own."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from mediajobs_dagster.errors import SettingsError

SETTING = "MEDIAJOBS_WEB_NAMES"
"""The setting that adds names."""

_PLACE = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII)
_PORTS = {"http": 80, "https": 443}
"""The port that an address of that scheme means when it names none."""


@dataclass(frozen=True)
class Place:
    """Who is meant by an address: what stands between `http://` and the path."""

    name: str
    """A name or an IP address, in small letters; IPv6 in brackets."""
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Place | None:
        """Read `name` or `name:port`; None if it is neither."""
        found = _PLACE.fullmatch(text.lower())
        return cls(found[1], int(found[2]) if found[2] else None) if found else None

    @property
    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The name as an IP address, if it is one."""
        try:
            return ipaddress.ip_address(self.name.strip("[]"))
        except ValueError:
            return None

    @property
    def is_loopback(self) -> bool:
        """Whether it means the browser's own machine, whatever a name server says."""
        return self.name == "localhost" or (self.ip is not None and self.ip.is_loopback)


@dataclass(frozen=True)
class Names:
    """The names of a server: those of loopback, the one it listens on, and those that an operator has listed."""

    listening: str
    """The host that it was told to listen on."""
    listed: tuple[Place, ...] = ()

    @classmethod
    def of(cls, host: str, listed: Iterable[str]) -> Names:
        """The names of a server that listens on `host`. Raises SettingsError for a listed one that is no name."""
        places: list[Place] = []
        for text in listed:
            place = Place.parse(text)
            if place is None:
                raise SettingsError(
                    f"{SETTING}: {text!r} is not a name. Give what stands between https:// and the path, such as "
                    "media.example.com or media.example.com:8443."
                )
            places.append(place)
        return cls(host.lower(), tuple(places))

    def include(self, place: Place, arrived_at: str | None) -> bool:
        """Whether `place` is this server. `arrived_at` is the address of ours that the connection came in at.

        The port does not count: proxies and containers publish others. A name of another site that points here is
        what has to be found out, and such a name is no IP address.
        """
        return (
            place.is_loopback
            or place.name.strip("[]") == self.listening
            or (place.ip is not None and str(place.ip) == arrived_at)
            or any(place.name == each.name for each in self.listed)
        )

    def own(self, origin: str, asked: Iterable[Place]) -> bool:
        """Whether a page of `origin` (`https://name:port`) is one of ours, where a request asked for `asked`.

        It is if it is of a place that was asked for, or of one that is listed. The scheme does not count: a proxy that
        ends TLS asks us by HTTP.
        """
        scheme, _, rest = origin.lower().partition("://")
        place, default = Place.parse(rest), _PORTS.get(scheme)
        if place is None or default is None:
            return False
        asked = tuple(asked)
        # A name that is listed without a port is a proxy's, unless the request came by that name itself: then the port
        # is known, and another one on that machine is somebody else's.
        listed = [each for each in self.listed if each.port is not None or all(each.name != by.name for by in asked)]
        return any(
            (each.name, each.port or default) == (place.name, place.port or default) for each in (*asked, *listed)
        )
