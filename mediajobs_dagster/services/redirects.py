"""A request to a service: what is sent, and the request that follows a redirect."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, unquote, urlencode, urljoin, urlsplit

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, make_headers, parse_url

from mediajobs_dagster.errors import RequestError, ServiceAnswerError, ServiceRefusedError
from mediajobs_dagster.storage.redaction import REDACTED, redact_address

Query = Mapping[str, str | int | float | Sequence[str | int | float]]
"""Query parameters; one with several values is repeated."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5

_SHORTEST_SECRET = 6
"""Characters; anything shorter would take words out of the text, and is no secret."""
_SCHEMES = ("http", "https")
_PORTS = {"http": 80, "https": 443}
_HARMLESS = frozenset(
    {
        *("accept", "accept-encoding", "accept-language", "range", "user-agent"),
        *("if-none-match", "if-modified-since", "if-range"),
    }
)
"""Headers that may go to another host. Any other may hold a secret for the first one."""


@dataclass(frozen=True)
class Request:
    """One request, to one address. Build it with `of`."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    is_trusted: bool = False
    """Whether the host may be in a private network."""
    hides_path: bool = False
    """Whether the path is a secret."""

    @classmethod
    def of(
        cls,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        is_trusted: bool = False,
        hides_path: bool = False,
    ) -> Request:
        """Build a request. A user name and password in the address become a header. Raises RequestError."""
        parts = _parsed(url)
        if parts is None:
            raise RequestError(
                f"{shown_address(url, hides_path)} is not a valid address. Give an http:// or https:// address."
            )
        auth = make_headers(basic_auth=parts.auth) if parts.auth else {}
        bare = parts._replace(auth=None, fragment=None).url
        return cls(method, bare, {**auth, **headers}, body, is_trusted, hides_path)

    def also(self, headers: Mapping[str, str]) -> Request:
        """The same request with further headers."""
        return replace(self, headers={**self.headers, **headers}) if headers else self

    def without_secrets(self, text: str) -> str:
        """What a service answered, without what was sent to it in confidence: some quote the request."""
        headers = [value for name, value in self.headers.items() if name.lower() not in (*_HARMLESS, "content-type")]
        path = urlsplit(self.url).path if self.hides_path else ""
        secrets = {
            *(word for value in headers for word in value.split()),
            *(_values_of(self.url)),
            *(path, unquote(path), *path.split("/")),
        }
        for secret in sorted((each for each in secrets if len(each) >= _SHORTEST_SECRET), key=len, reverse=True):
            text = text.replace(secret, REDACTED)
        return text

    def redirected(self, status: int, location: str) -> Request:
        """The request that follows an answer with `status` (one of REDIRECTS) and `location`.

        It sends neither secrets nor a body to another host, and trusts no other one. Raises ServiceAnswerError and
        ServiceRefusedError.
        """
        try:
            url = urljoin(self.url, location)
        except ValueError:  # not an address: reported below
            url = location
        here, there = (shown_address(each, self.hides_path) for each in (self.url, url))
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
        return replace(turned, headers=kept, is_trusted=False)


def shown_address(url: str, hides_path: bool) -> str:
    """An address for people, without secrets; its path may be one."""
    if not hides_path:
        return redact_address(url)
    try:
        parts = urlsplit(url)
    except ValueError:
        return REDACTED
    return redact_address(f"{parts.scheme}://{parts.netloc}/") + REDACTED


def _values_of(url: str) -> set[str]:
    return {value for values in parse_qs(urlsplit(url).query).values() for value in values}


def with_query(url: str, params: Query | None) -> str:
    """`url` with further parameters in its query."""
    if not params:
        return url
    address, hash_sign, fragment = url.partition("#")
    joint = "&" if "?" in address else "?"
    return f"{address}{joint}{urlencode(params, doseq=True)}{hash_sign}{fragment}"


def body_of(json: object, data: bytes | Query | None) -> tuple[bytes | None, dict[str, str]]:
    """The body to send, and the headers about it."""
    if json is not None:
        return json_format.dumps(json, allow_nan=False).encode(), {"Content-Type": "application/json"}
    if data is None or isinstance(data, bytes):
        return data, {}
    return urlencode(data, doseq=True).encode(), {"Content-Type": "application/x-www-form-urlencoded"}


def _parsed(url: str) -> Url | None:
    try:
        parts = parse_url(url)
    except LocationParseError:
        return None
    return parts if parts.scheme in _SCHEMES and parts.host else None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
