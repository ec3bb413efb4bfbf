"""Who makes a request, and what that visitor may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from mediajobs_dagster.history.tokens import Scope

VISITOR = "mediajobs.visitor"
"""Where the ASGI scope of a request has its visitor."""
API = "api"
"""Who acts where no login is needed, in the record of actions."""


class Means(Enum):
    """How a visitor has shown who it is."""

    NONE = auto()
    """Not at all: no login is needed here."""
    SESSION = auto()
    """By the cookie of a login."""
    PROXY = auto()
    """By the word of a trusted proxy."""
    TOKEN = auto()
    """By a secret in the header Authorization, which no web page of others can have a browser send."""


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Who makes a request."""

    name: str
    scope: Scope
    means: Means
    session_id: str | None = None
    token_name: str | None = None

    @property
    def who(self) -> str:
        """What the record of actions calls it."""
        return f"{self.name} (token {self.token_name})" if self.token_name else self.name

    @property
    def may_change(self) -> bool:
        """Whether it may do more than look."""
        return self.scope is Scope.OPERATOR

    @property
    def may_look(self) -> bool:
        """Whether it may see more than metrics."""
        return self.scope is not Scope.METRICS

    @property
    def is_logged_in(self) -> bool:
        """Whether it is a person with a name, for whom pages have a way out."""
        return self.means in (Means.SESSION, Means.PROXY)


ANYBODY = Visitor(name=API, scope=Scope.OPERATOR, means=Means.NONE)
"""Whoever comes where no login is needed."""


def visitor_in(scope: Mapping[str, Any]) -> Visitor | None:
    """The visitor of a request, by its ASGI scope; None: nobody who is known."""
    return scope.get(VISITOR)
