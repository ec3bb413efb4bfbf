"""Passwords: what they have to be, and their hashes."""

from __future__ import annotations

import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from mediajobs_dagster.errors import RequestError

SHORTEST = 12
"""Characters of a password."""
LONGEST = 512
"""Characters of a password; more would only cost time."""

_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""Argon2id with 19 MiB and two passes: https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html"""

_NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$LHr9wwTAix1gtJQJr6+6Ag$guwl3dx7AbJ73jr6hVyDNQY31EE8n1Pi2RaatW9MlfA"
"""The hash of random bytes that nobody knows, made as all others are."""


def hash_password(password: str) -> str:
    """The hash of a new password, with its salt and what it was made with. Raises RequestError for a weak one."""
    if len(password) < SHORTEST:
        raise RequestError(f"A password has {SHORTEST} characters at least. Several words are easy to remember.")
    if len(password) > LONGEST:
        raise RequestError(f"A password has {LONGEST} characters at most.")
    if len(set(password)) < 5:
        raise RequestError("That password is too easy to guess. Take one with more different characters.")
    return _HASHER.hash(_bytes(password))


def is_password(password: str, password_hash: str | None) -> bool:
    """Whether a password is the one of that hash. With None it never is, and that takes as long to find out."""
    try:
        is_right = _HASHER.verify(password_hash or _NOBODYS, _bytes(password[: LONGEST + 1]))
    except (VerificationError, InvalidHashError):
        return False
    return is_right and password_hash is not None


def is_weak(password_hash: str) -> bool:
    """Whether a hash was made with less effort than today's."""
    return _HASHER.check_needs_rehash(password_hash)


def _bytes(password: str) -> bytes:
    # One letter may be typed as one character, or as two: that depends on the keyboard.
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
