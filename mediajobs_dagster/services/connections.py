"""Connections to outside services. They are urllib3's, but look up names and open sockets here, under a guard.

Proxies come from the environment (HTTP_PROXY, HTTPS_PROXY, NO_PROXY), as in other programs; a loopback address is never
reached through one. Certificates are checked against the system's authorities (SSL_CERT_FILE names others).
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import time
from contextvars import ContextVar
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
from mediajobs_dagster.services.guard import CallGuard
from mediajobs_dagster.services.redirects import Request
from mediajobs_dagster.storage.redaction import redact

_POOL_SIZE = 16
"""Connections to one host that are kept open for the next call."""

_guard: ContextVar[CallGuard] = ContextVar("guard")
"""The guard of the call that this thread makes: urllib3 cannot pass it down to where it opens connections."""


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

    def __init__(self) -> None:
        for name in ("urllib3.connection", "urllib3.connectionpool"):  # they log whole addresses
            logging.getLogger(name).addFilter(_redacted)
        self._lock = Lock()
        self._managers: dict[str | None, PoolManager] = {}

    def send(self, request: Request, guard: CallGuard, *, connect_s: float, silence_s: float) -> BaseHTTPResponse:
        """The answer, its body unread. Raises urllib3's HTTPError, SettingsError, and what `CallGuard.check` does."""
        guard.check()
        token = _guard.set(guard)
        try:
            return self._manager(request.url).urlopen(
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
            _guard.reset(token)

    def close(self) -> None:
        """Close the kept connections."""
        with self._lock:
            managers, self._managers = list(self._managers.values()), {}
        for manager in managers:
            manager.clear()

    def _manager(self, url: str) -> PoolManager:
        proxy = _proxy_of(url)
        with self._lock:
            if proxy not in self._managers:
                self._managers[proxy] = _new_manager(proxy)
            return self._managers[proxy]


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


def _proxy_of(url: str) -> str | None:
    parts = parse_url(url)
    host = (parts.host or "").strip("[]")
    if host == "localhost" or _is_loopback(host) or proxy_bypass(host):
        return None
    proxy = getproxies().get(parts.scheme or "")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


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
        _guard.get().hold(connection.sock)


def _connect(connection: HTTPConnection, host: str) -> socket.socket:
    """A socket to the first address that answers; all of them share the connect timeout."""
    guard = _guard.get()
    give_up = time.monotonic() + (connection.timeout or guard.left_s)
    try:
        addresses = guard.beside(lambda: addresses_of(host.strip("[]"), connection.port))
    except socket.gaierror as error:
        raise NameResolutionError(host, connection, error) from error
    except UnicodeError as error:  # a label of the name is too long, or empty
        raise NewConnectionError(connection, f"{host} is not a valid host name: {error}") from error
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
    raise NewConnectionError(connection, f"{host} cannot be reached: {failure}") from failure


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
