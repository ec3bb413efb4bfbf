"""What a service answered, as values."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from mediajobs_dagster.errors import ServiceAnswerError


@dataclass(frozen=True)
class HttpAnswer:
    """An answer with a status of 2xx; or 304, if the request had a condition."""

    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes
    what: str = ""
    """The name of the call, for messages."""
    is_unchanged: bool = False
    """Whether the service said that nothing has changed since the answer that is kept."""

    @property
    def text(self) -> str:
        """The body as text; see `decoded`."""
        return decoded(self.body, self.headers)

    def json(self) -> Any:
        """The body as decoded JSON. Raises ServiceAnswerError when it is not JSON."""
        try:
            return json_format.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise ServiceAnswerError(f"{self.what} was not answered with JSON: {error}.") from error


@dataclass(frozen=True)
class Download:
    """An answer whose body was written to a file."""

    path: Path
    bytes: int
    headers: Mapping[str, str]
    """Names in any case."""


def decoded(body: bytes, headers: Mapping[str, str]) -> str:
    """A body as text, in the charset that the headers name, else UTF-8; what cannot be decoded is replaced."""
    message = Message()
    message["Content-Type"] = headers.get("Content-Type", "")
    try:
        return body.decode(message.get_content_charset("utf-8"), errors="replace")
    except LookupError:  # a charset that nobody knows
        return body.decode(errors="replace")
