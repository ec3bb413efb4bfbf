"""Removes secrets from text before it is stored, logged or shown.

Host and path stay, so that a person still sees which object it was: `https://host/bucket/key?<redacted>`.
Redact before cutting: a text that was cut inside a signature no longer shows that it holds one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, cast
from urllib.parse import quote, urlsplit

REDACTED = "<redacted>"

_MIN_SECRET_CHARS = 4
"""Removing shorter secrets would destroy ordinary words, and they protect nothing."""

# Patterns have no open-ended prefix such as `\w*secret`: on a long word that would take quadratic time.
_SECRET_NAME = (
    r"(?:secret[\w-]{0,40}|passw(?:or)?d|passwd|(?:session|access|refresh|auth|security)[_-]?token"
    r"|api[_-]?key|access[_-]?key(?:[_-]?id)?)"
)
_PARAMETER_NAME = rf"(?:x-(?:amz|goog)-[\w-]{{1,40}}|signature|credential|token|(?<![a-z])sig|{_SECRET_NAME})"
_QUOTED = r"""b?"(?:\\.|[^"\\\r\n])*"?|b?'(?:\\.|[^'\\\r\n])*'?"""
_OPENING_QUOTE = re.compile(r"""b?["']""")

_QUERY = re.compile(r"""\?(?:[^\s"'<>\\]|\\(?!["']))+""")
_SIGNED = re.compile(rf"{_PARAMETER_NAME}(?:=|%3D)|[?&]key=", re.IGNORECASE)
_USERINFO = re.compile(
    # The second form is for passwords with a raw `/`, `?` or `#`, which database addresses may have; `host:port/` is
    # not one.
    rf"""(?<=://)(?!{REDACTED}@)(?:[^\s/?#"']+@|[^\s/:@"']*:(?!\d{{1,5}}(?:[/?#]|$))[^\s@"']{{1,1024}}@)"""
)
_HEADER = re.compile(
    r"""((?:authorization|x-amz-security-token|x-api-key|cookie)["']?[ \t]*[:=][ \t]*)"""
    rf"""({_QUOTED}|[^\r\n]+)""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"""(\bbearer[ \t]+)[^\s"'<>,]+""", re.IGNORECASE)
_ASSIGNMENT = re.compile(
    rf"""((?:{_PARAMETER_NAME}["']?[ \t]*(?:=|%3D)|{_SECRET_NAME}["']?[ \t]*:)[ \t]*)"""
    rf"""({_QUOTED}|(?!{REDACTED})[^\s"']+)""",
    re.IGNORECASE,
)
_MARKS = (
    *("?key=", "&key=", "://", "x-", "sig", "token", "credential", "secret", "passw"),
    *("authorization", "cookie", "bearer", "akia", "asia", "aiza", "mjt_"),
    *("apikey", "api_key", "api-key", "accesskey", "access_key", "access-key"),
)
"""Whatever a pattern could match has one of them. Most texts have none, so nothing else is looked for in them."""
_IN_LOWER_CASE = bytes(range(256)).lower()
_IN_NO_MARK = bytes(set(range(256)) - {*f" {''.join(_MARKS)}{''.join(_MARKS).upper()}".encode()})
"""Bytes that no mark has, but for spaces. Without them, half of an answer is left to look through. A mark may be seen
then where there is none; none is missed."""
_NAMES_SECRET = re.compile(_SECRET_NAME, re.IGNORECASE)
_KEY_ID = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{12,}|AIza[\w-]{30,}|mjt_[\w-]{30,}")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without signed query strings, credentials in addresses, authorisation headers, access keys and passwords.

    `secrets` are further strings to remove wherever they occur, plain or percent-encoded; strings of fewer than four
    characters are ignored. Redacting twice changes nothing more.
    """
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _MIN_SECRET_CHARS and secret not in REDACTED:
            text = text.replace(secret, REDACTED).replace(quote(secret, safe=""), REDACTED)
    if not may_hold_secrets(text.encode(errors="surrogatepass")):
        return text
    text = _QUERY.sub(_redact_query, text)
    text = _USERINFO.sub(f"{REDACTED}@", text)
    text = _HEADER.sub(_redact_value, text)
    text = _BEARER.sub(rf"\1{REDACTED}", text)
    text = _ASSIGNMENT.sub(_redact_value, text)
    return _KEY_ID.sub(REDACTED, text)


def may_hold_secrets(text: bytes) -> bool:
    """Whether `redact` could find something in a text in UTF-8, or in a value whose JSON it is."""
    # In other scripts there are letters that patterns take for one of these, and lower case does not.
    if not text.isascii():
        return True
    marking = text.translate(_IN_LOWER_CASE, _IN_NO_MARK).decode("ascii")  # Python looks through text more quickly
    for mark in _MARKS:  # noqa: SIM110  # a generator would take twice as long, and this is asked of every text
        if mark in marking:
            return True
    return False


def redact_values(value: Any) -> Any:
    """A JSON value with all its texts redacted; a text in a field that is named as a secret goes as a whole."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value).items()
        return {name: REDACTED if _is_secret(name, each) else redact_values(each) for name, each in fields}
    if isinstance(value, list | tuple):
        return [redact_values(each) for each in cast("list[Any]", value)]
    return value


def _is_secret(name: object, value: object) -> bool:
    return isinstance(value, str) and isinstance(name, str) and bool(value) and _names_a_secret(name)


@lru_cache(maxsize=1000)
def _names_a_secret(name: str) -> bool:
    return bool(_NAMES_SECRET.search(name))


def redact_address(address: str) -> str:
    """An address for people: without user name, password and fragment; of the query, only the names stay.

    `https://u:p@host/videos?id=1&key=abc#x` becomes `https://<redacted>@host/videos?id&key`.
    """
    try:
        parts = urlsplit(address)
    except ValueError:  # not an address
        return REDACTED
    userinfo, _, host = parts.netloc.rpartition("@")
    shown = redact(f"{parts.scheme}://{REDACTED + '@' if userinfo else ''}{host}{parts.path}")
    # A part without `=` has no name: it is all value.
    names = [
        name if is_named else REDACTED for name, is_named, _ in (each.partition("=") for each in parts.query.split("&"))
    ]
    return f"{shown}?{'&'.join(names)}" if parts.query else shown


def _redact_query(match: re.Match[str]) -> str:
    query = match.group()
    if not _SIGNED.search(query):
        return query
    # What follows an address in a sentence stays: `…?<redacted>: 403 Forbidden`.
    punctuation = query[len(query.rstrip(":.,;)]")) :]
    return f"?{REDACTED}{punctuation}"


def _redact_value(match: re.Match[str]) -> str:
    name, value = match.groups()
    # A quoted value keeps its quotes, so that JSON stays JSON.
    opening = _OPENING_QUOTE.match(value)
    return f"{name}{opening[0]}{REDACTED}{opening[0][-1]}" if opening else f"{name}{REDACTED}"
