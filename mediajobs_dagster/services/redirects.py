"""A request to a service, and the request that follows a redirect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urljoin, urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, make_headers, parse_url

from mediajobs_dagster.errors import RequestError, ServiceAnswerError, ServiceRefusedError
from mediajobs_dagster.storage.redaction import redact_address

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5

_SCHEMES = ("http", "https")
_PORTS = {"http": 80, "https": 443}
_HARMLESS = frozenset({"accept", "accept-encoding", "accept-language", "range", "user-agent"})
"""Headers that may go to another host. Any other may hold a secret for the first one."""


@dataclass(frozen=True)
class Request:
    """One request, to one address. Build it with `of`."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None

    @classmethod
    def of(cls, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Request:
        """Build a request. A user name and password in the address become a header. Raises RequestError."""
        parts = _parsed(url)
        if parts is None:
            raise RequestError(f"{redact_address(url)} is not a valid address. Give an http:// or https:// address.")
        auth = make_headers(basic_auth=parts.auth) if parts.auth else {}
        return cls(method, parts._replace(auth=None, fragment=None).url, {**auth, **headers}, body)

    def redirected(self, status: int, location: str) -> Request:
        """The request that follows an answer with `status` (one of REDIRECTS) and `location`.

        It sends neither secrets nor a body to another host. Raises ServiceAnswerError and ServiceRefusedError.
        """
        try:
            url = urljoin(self.url, location)
        except ValueError:  # not an address: reported below
            url = location
        here, there = redact_address(self.url), redact_address(url)
        parts = _parsed(url)
        if parts is None:
            raise ServiceAnswerError(f"{here} redirects to {there}. Only http:// and https:// are followed.")
        turned = replace(self, url=parts._replace(auth=None, fragment=None).url)
        if status == 303 or (status in (301, 302) and self.method == "POST"):
            about_body = ("content-type", "content-length")
            kept = {name: value for name, value in self.headers.items() if name.lower() not in about_body}
            turned = replace(turned, method="HEAD" if self.method == "HEAD" else "GET", headers=kept, body=None)
        if _origin(self.url) == _origin(turned.url):
            return turned
        if turned.body is not None:
            raise ServiceRefusedError(
                f"{here} redirects to another host, {there}. A request's body is not sent to another host. "
                "Correct the address of the service."
            )
        kept = {name: value for name, value in turned.headers.items() if name.lower() in _HARMLESS}
        return replace(turned, headers=kept)


def _parsed(url: str) -> Url | None:
    try:
        parts = parse_url(url)
    except LocationParseError:
        return None
    return parts if parts.scheme in _SCHEMES and parts.host else None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
