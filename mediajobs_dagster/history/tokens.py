"""What programs show instead of a password. The table has hashes of the secrets: who reads it can use none."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.errors import DatabaseBusyError
from mediajobs_dagster.history.actions import Action, insert_action
from mediajobs_dagster.history.clock import db_now, db_time_in
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.later import Later, at_once
from mediajobs_dagster.history.schema import tokens, users
from mediajobs_dagster.history.users import Role
from mediajobs_dagster.models import JsonObject

_TOUCHED = timedelta(minutes=1)
"""How exactly it is known when a token was last used: a request writes no more often."""


class Scope(StrEnum):
    """What a token is good for."""

    METRICS = "metrics"
    """To read `/metrics`, `/metrics.json` and `/readyz`, and nothing else."""
    VIEWER = "viewer"
    """To see everything, and change nothing."""
    OPERATOR = "operator"
    """To see and do everything."""


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token, without its secret, which nobody has but its holder."""

    id: str
    name: str
    sha256: str
    """Of the secret, in hexadecimal."""
    scope: Scope
    user_name: str | None
    """Whose it is: it can do no more than this user. None: it stands for itself."""
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""

        def text(moment: datetime | None) -> str | None:
            return moment and moment.isoformat()

        return {
            "id": self.id,
            "name": self.name,
            "scope": self.scope.value,
            "userName": self.user_name,
            "createdBy": self.created_by,
            "createdAt": self.created_at.isoformat(),
            "expiresAt": text(self.expires_at),
            "lastUsedAt": text(self.last_used_at),
            "revokedAt": text(self.revoked_at),
        }


TokenList = list[Token]


class TokenRows:
    """Reads and writes the table of tokens."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add(self, id: str, sha256: str, lasts: timedelta | None, action: Action, **values: Any) -> Token:
        """Keep a new token. `values` are the name, the scope, the user's name and who made it."""
        row = {"id": id, "sha256": sha256, "created_at": db_now(), **values}
        row |= {"expires_at": db_time_in(lasts.total_seconds()) if lasts else None}
        with self._database.write() as connection:
            connection.execute(sa.insert(tokens).values(row))
            insert_action(connection, action)
            found = connection.execute(sa.select(tokens).where(tokens.c.id == id)).mappings().one()
        return token_of(found)

    def use(self, sha256: str, later: Later = at_once) -> tuple[Token, Role | None] | None:
        """The token of that secret, and the role of its user, if it has one; that it was used is written `later`.

        None: there is none, it was revoked, has expired, or its user is gone or kept out.
        """
        with self._database.read() as connection:
            row = connection.execute(_USED, {"of_secret": sha256}).mappings().one_or_none()
        if row is None:
            return None
        if row["is_due"]:
            later(partial(self._touch, sha256))
        return token_of(row), Role(row["role"]) if row["role"] else None

    def _touch(self, sha256: str) -> None:
        with suppress(DatabaseBusyError), self._database.write() as connection:  # nothing is lost without it
            connection.execute(sa.update(tokens).where(tokens.c.sha256 == sha256).values(last_used_at=db_now()))

    def list(self) -> TokenList:
        """All of them, the newest first."""
        statement = sa.select(tokens).order_by(tokens.c.created_at.desc(), tokens.c.id.desc())
        with self._database.read() as connection:
            return [token_of(row) for row in connection.execute(statement).mappings()]

    def revoke(self, id: str, action: Action) -> bool:
        """End a token for good; False: it was revoked already."""
        is_live = (tokens.c.id == id) & tokens.c.revoked_at.is_(None)
        with self._database.write() as connection:
            is_revoked = connection.execute(sa.update(tokens).where(is_live).values(revoked_at=db_now())).rowcount == 1
            if is_revoked:
                insert_action(connection, action)
        return is_revoked


def token_of(row: sa.RowMapping) -> Token:
    """The token that a row of the table is."""
    values: dict[str, Any] = {column.name: row[column.name] for column in tokens.c}
    values["scope"] = Scope(row["scope"])
    return Token(**values)


_IS_DUE = tokens.c.last_used_at.is_(None) | (tokens.c.last_used_at < db_time_in(-_TOUCHED.total_seconds()))

# Built once: it is asked with each request.
_USED = (
    sa.select(tokens, users.c.role, _IS_DUE.label("is_due"))
    # Somebody whom only a proxy knows is no user, and becomes one to be kept out: what such a one made goes too.
    .select_from(tokens.outerjoin(users, users.c.name == sa.func.coalesce(tokens.c.user_name, tokens.c.created_by)))
    .where(
        tokens.c.sha256 == sa.bindparam("of_secret"),
        tokens.c.revoked_at.is_(None),
        tokens.c.expires_at.is_(None) | (tokens.c.expires_at > db_now()),
        tokens.c.user_name.is_(None) | users.c.name.is_not(None),
        users.c.disabled_at.is_(None),
    )
)
