"""Who makes a request: by cookie, token, or the word of a trusted proxy."""

from __future__ import annotations

import hmac
import logging
import threading
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from mediajobs_dagster.access.proxies import Proxies
from mediajobs_dagster.access.secrets import TOKEN_PREFIX
from mediajobs_dagster.access.visitor import Means, Visitor
from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.history.later import Later, never
from mediajobs_dagster.history.tokens import Scope as TokenScope
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.system import MediaJobs

_log = logging.getLogger(__name__)

_SECURE, _INSECURE = "__Host-mediajobs", "mediajobs"
_PROBE = "up"
"""What `mediajobs up` is called when it asks whether the console has started."""


class Reception:
    """Finds out who comes. Its methods read the database, so they are called in threads."""

    def __init__(self, media: MediaJobs, probe_key: str | None = None) -> None:
        """`probe_key` is a token of its own, which may look: that of the process that has started this one."""
        self._media, self._probe_key = media, probe_key
        self.proxies = Proxies.of(media.settings)
        self._aside = _Aside()

    @property
    def says_who(self) -> bool:
        """Whether a proxy says who comes."""
        return bool(self.proxies.user_header)

    def visitor_of(self, scope: Scope, *, is_new: bool = True) -> Visitor | None:
        """The visitor of a request; None: nobody who is known. What shows a wrong token has no other way in.

        Unless the request `is_new`, this only looks whether the visitor may still be here, and counts as no use.

        What else stands in Authorization is somebody else's: proxies with a login pass on what they were shown.
        """
        headers, later = Headers(scope=scope), self._aside if is_new else never
        if secrets := list(filter(self._is_token, map(_bearer_in, headers.getlist("authorization")))):
            return self._by_token(secrets[0], later) if len(secrets) == 1 else None
        if self._is_by_proxy(scope) and (names := headers.getlist(self.proxies.user_header)):
            # Two of them: the proxy has added its own to one that was sent to it.
            return self._by_proxy(names[0], headers) if len(names) == 1 else None
        secret = cookie_of(headers, self._media.settings)
        return self._media.logins.by_cookie(secret, later) if secret else None

    def client_of(self, scope: Scope) -> str:
        """The address that a request comes from."""
        return self.proxies.client(peer_of(scope), Headers(scope=scope).getlist("x-forwarded-for"))

    def strip(self, scope: Scope) -> None:
        """Take out what only a trusted proxy may say, unless one has said it."""
        if not self.proxies.include(peer_of(scope)):
            told = {self.proxies.user_header, self.proxies.role_header, "x-forwarded-for"} - {""}
            scope["headers"] = [each for each in scope["headers"] if each[0].decode("latin-1").lower() not in told]

    def _is_by_proxy(self, scope: Scope) -> bool:
        return bool(self.proxies.user_header) and self.proxies.include(peer_of(scope))

    def _by_proxy(self, name: str, headers: Headers) -> Visitor | None:
        header = self.proxies.role_header
        return self._media.logins.by_proxy(name, ",".join(headers.getlist(header)) if header else None)

    def _is_token(self, secret: str) -> bool:
        return secret.startswith(TOKEN_PREFIX) or self._is_probe(secret)

    def _is_probe(self, secret: str) -> bool:
        return self._probe_key is not None and hmac.compare_digest(secret.encode(), self._probe_key.encode())

    def _by_token(self, secret: str, later: Later) -> Visitor | None:
        if self._is_probe(secret):
            return Visitor(name=_PROBE, scope=TokenScope.VIEWER, means=Means.TOKEN)
        return self._media.logins.by_token(secret, later)


class _Aside:
    """Does what nobody waits for in threads beside the answers: two at most, and what finds none free is left."""

    def __init__(self) -> None:
        self._free = threading.Semaphore(2)

    def __call__(self, work: Callable[[], None]) -> None:
        if self._free.acquire(blocking=False):
            threading.Thread(target=self._do, args=(work,), name="mediajobs-seen", daemon=True).start()

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except MediaJobsError as error:
            _log.warning("When a login was last seen could not be kept. %s", error.message)
        finally:
            self._free.release()


def _bearer_in(text: str) -> str:
    """The secret that a header Authorization shows; empty: it is of another kind."""
    scheme, _, secret = text.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def peer_of(scope: Scope) -> str | None:
    """The address that the connection itself comes from."""
    client = scope.get("client")
    return client[0] if client else None


def cookie_of(headers: Headers, settings: Settings) -> str | None:
    """The secret of the session that the browser sends."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(_name(settings))
    except CookieError:
        return None
    return morsel.value if morsel else None


def set_cookie(answer: Response, secret: str, settings: Settings) -> None:
    """Have the browser send the secret of a session with each request, to this server alone, and show it to no script.

    `__Host-` has browsers take it from no other host and for no other path, and only encrypted.
    """
    answer.set_cookie(
        _name(settings),
        secret,
        max_age=int(settings.session_s),
        path="/",
        secure=not settings.web_insecure_cookies,
        httponly=True,
        samesite="lax",
    )


def forget_cookie(answer: Response, settings: Settings) -> None:
    """Have the browser send it no more."""
    answer.delete_cookie(
        _name(settings), path="/", secure=not settings.web_insecure_cookies, httponly=True, samesite="lax"
    )


def _name(settings: Settings) -> str:
    return _INSECURE if settings.web_insecure_cookies else _SECURE
