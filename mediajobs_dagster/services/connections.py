"""Connections to outside services. They are urllib3's, but look up names and open sockets here, under a guard.

A name is looked up once. Each of its addresses is checked (`addresses`), and one of these very addresses is connected
to, at every redirect anew.

Proxies come from the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), as in other programs; a loopback address is never
reached through one. A proxy looks names up itself: what it may connect to is its own business. Certificates are checked
against the system's authorities (SSL_CERT_FILE names others).
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import time
from contextvars import ContextVar
from ipaddress import IPv4Network, IPv6Network
from threading import Lock
from typing import Any, NamedTuple
from urllib.request import getproxies, proxy_bypass

from typing_extensions import override
from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager, Timeout, make_headers
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ProxySchemeUnknown
from urllib3.util import parse_url

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.services.addresses import Networks, check_address, check_name
from mediajobs_dagster.services.guard import CallGuard
from mediajobs_dagster.services.redirects import Request
from mediajobs_dagster.storage.redaction import redact

_POOL_SIZE = 16
"""Connections to one host that are kept open for the next call."""


class _Way(NamedTuple):
    """How the request that this thread sends may open a connection."""

    guard: CallGuard
    allowed: tuple[IPv4Network | IPv6Network, ...] | None
    """The private networks that it may lead to; None: to any address."""


_way: ContextVar[_Way] = ContextVar("way")
"""urllib3 cannot pass it down to where it opens connections."""


class Address(NamedTuple):
    """An address that a socket can connect to."""

    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]


def addresses_of(host: str, port: int) -> list[Address]:
    """The addresses of a host. Every connection, also one to a proxy, goes to one of these. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(Address(family, sockaddr) for family, _, _, _, sockaddr in found))


class Connections:
    """Open connections, kept for the next call to the same host. Safe to use from any thread."""

    def __init__(self, allowed: Networks = ()) -> None:
        """`allowed` are the private networks that any request may lead to."""
        self._allowed = tuple(allowed)
        for name in ("urllib3.connection", "urllib3.connectionpool"):  # they log whole addresses
            logging.getLogger(name).addFilter(_redacted)
        self._lock = Lock()
        # Apart by trust: a connection that a trusted request has opened is no way into its network for another one.
        self._managers: dict[tuple[str | None, bool], PoolManager] = {}

    def send(self, request: Request, guard: CallGuard, *, connect_s: float, silence_s: float) -> BaseHTTPResponse:
        """The answer, its body unread.

        Raises urllib3's HTTPError, SettingsError, AddressRefusedError, and what `CallGuard.check` does.
        """
        guard.check()
        manager = self._manager(request)
        token = _way.set(_Way(guard, None if request.is_trusted else self._allowed))
        try:
            return manager.urlopen(
                request.method,
                request.url,
                body=request.body,
                headers=dict(request.headers),
                retries=False,
                redirect=False,
                preload_content=False,
                timeout=Timeout(
                    connect=min(connect_s, guard.left_s) or 1e-3, read=min(silence_s, guard.left_s) or 1e-3
                ),
            )
        finally:
            _way.reset(token)

    def close(self) -> None:
        """Close the kept connections."""
        with self._lock:
            managers, self._managers = list(self._managers.values()), {}
        for manager in managers:
            manager.clear()

    def _manager(self, request: Request) -> PoolManager:
        proxy = proxy_of(request.url)
        if proxy and not request.is_trusted:
            check_name(_host_of(request.url), self._allowed)
        kind = proxy, request.is_trusted
        with self._lock:
            if kind not in self._managers:
                self._managers[kind] = _new_manager(proxy)
            return self._managers[kind]


def _redacted(record: logging.LogRecord) -> bool:
    record.msg, record.args = redact(record.getMessage()), ()
    return True


def _new_manager(proxy: str | None) -> PoolManager:
    if proxy is None:
        manager = PoolManager(maxsize=_POOL_SIZE)
    else:
        auth = parse_url(proxy).auth
        headers = make_headers(proxy_basic_auth=auth) if auth else None
        try:
            manager = ProxyManager(proxy, maxsize=_POOL_SIZE, proxy_headers=headers)
        except ProxySchemeUnknown as error:
            raise SettingsError(
                "The proxy of the environment (HTTPS_PROXY) must be an http:// or https:// address."
            ) from error
    manager.pool_classes_by_scheme = dict[str, type[HTTPConnectionPool]](http=_HttpPool, https=_HttpsPool)
    return manager


def proxy_of(url: str) -> str | None:
    """The address of the proxy that the environment names for an address; None: it is reached without one."""
    parts, host = parse_url(url), _host_of(url)
    if host == "localhost" or _is_loopback(host) or proxy_bypass(host):
        return None
    proxy = getproxies().get(parts.scheme or "")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _host_of(url: str) -> str:
    return (parse_url(url).host or "").strip("[]")


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


# --- below urllib3 ---------------------------------------------------------------------------------------------------


class _HttpConnection(HTTPConnection):
    @override
    def _new_conn(self) -> socket.socket:
        return _connect(self, self._dns_host)

    @override
    def putrequest(self, method: str, url: str, skip_host: bool = False, skip_accept_encoding: bool = False) -> None:
        _hold_kept(self)
        super().putrequest(method, url, skip_host, skip_accept_encoding)


class _HttpsConnection(HTTPSConnection):
    @override
    def _new_conn(self) -> socket.socket:
        return _connect(self, self._dns_host)

    @override
    def putrequest(self, method: str, url: str, skip_host: bool = False, skip_accept_encoding: bool = False) -> None:
        _hold_kept(self)
        super().putrequest(method, url, skip_host, skip_accept_encoding)


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection  # pyright: ignore[reportAssignmentType]  # urllib3's own class does not fit either


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection  # pyright: ignore[reportAssignmentType]  # as above


def _hold_kept(connection: HTTPConnection) -> None:
    """Put a connection that an earlier call left open under the guard of this call."""
    if connection.sock is not None:
        _way.get().guard.hold(connection.sock)


def _connect(connection: HTTPConnection, host: str) -> socket.socket:
    """A socket to the first address that answers; all of them share the connect timeout."""
    guard, allowed = _way.get()
    give_up = time.monotonic() + (connection.timeout or guard.left_s)
    try:
        addresses = guard.beside(lambda: addresses_of(host.strip("[]"), connection.port))
    except socket.gaierror as error:
        raise NameResolutionError(host, connection, error) from error
    except UnicodeError as error:  # a label of the name is too long, or empty
        raise NewConnectionError(connection, f"{host} is not a valid host name: {error}") from error
    if allowed is not None and connection.proxy is None:
        for address in addresses:
            check_address(host.strip("[]"), address.sockaddr[0], allowed)
    failure: OSError | None = None
    for tried, address in enumerate(addresses):
        share_s = (give_up - time.monotonic()) / (len(addresses) - tried)
        try:
            return _opened(connection, address, max(share_s, 1e-3), guard)
        except OSError as error:
            guard.check()
            failure = error
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, f"{host} did not accept the connection in time.") from failure
    raise NewConnectionError(connection, str(failure)) from failure


def _opened(connection: HTTPConnection, address: Address, timeout_s: float, guard: CallGuard) -> socket.socket:
    opened = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        for option in connection.socket_options or ():
            opened.setsockopt(*option)
        opened.settimeout(timeout_s)
        guard.hold(opened)
        opened.connect(address.sockaddr)
        guard.check()  # a socket that was shut down while it connected may look connected
    except BaseException:
        opened.close()
        raise
    return opened
