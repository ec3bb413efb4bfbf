"""Secrets that we hand out, and what is kept of them: a hash. They are random, so a quick hash is enough."""

from __future__ import annotations

import hashlib
import secrets

_BYTES = 32
TOKEN_PREFIX = "mjt_"
"""What tokens begin with, so that a scanner for secrets finds one that was left lying about."""


def new_secret() -> str:
    """256 random bits, as letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(_BYTES)


def hash_of(secret: str) -> str:
    """What is kept of a secret: its SHA-256, in hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
