"""Who may use the console, and in which role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.history.actions import Action, insert_action
from mediajobs_dagster.history.clock import db_now
from mediajobs_dagster.history.database import Database, insert_or_ignore
from mediajobs_dagster.history.schema import sessions, tokens, users
from mediajobs_dagster.models import JsonObject


class Role(StrEnum):
    """What somebody may do."""

    VIEWER = "viewer"
    """See everything, and change nothing."""
    OPERATOR = "operator"
    """See and do everything."""


@dataclass(frozen=True, kw_only=True)
class User:
    """Somebody who may use the console."""

    name: str
    role: Role
    password_hash: str | None
    """None: this user comes by a proxy only."""
    created_at: datetime
    password_changed_at: datetime | None
    disabled_at: datetime | None
    """None: may log in."""

    @property
    def is_enabled(self) -> bool:
        """Whether this user may log in."""
        return self.disabled_at is None

    def to_json(self) -> JsonObject:
        """The camelCase JSON form, without the hash."""
        return {
            "name": self.name,
            "role": self.role.value,
            "hasPassword": self.password_hash is not None,
            "createdAt": self.created_at.isoformat(),
            "passwordChangedAt": self.password_changed_at.isoformat() if self.password_changed_at else None,
            "disabledAt": self.disabled_at.isoformat() if self.disabled_at else None,
        }


UserList = list[User]


class UserRows:
    """Reads and writes the table of users. What changes one is recorded as an action with it."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add(self, name: str, role: Role, password_hash: str | None, action: Action) -> bool:
        """Add a user; False: there is one of that name."""
        row: dict[str, Any] = {"name": name, "role": role, "password_hash": password_hash, "created_at": db_now()}
        row |= {"password_changed_at": None if password_hash is None else db_now(), "disabled_at": None}
        with self._database.write() as connection:
            is_new = connection.execute(insert_or_ignore(connection, users).values(row)).rowcount == 1
            if is_new:
                insert_action(connection, action)
        return is_new

    def get(self, name: str) -> User | None:
        """The user of that name."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(users).where(users.c.name == name)).mappings().one_or_none()
        return None if row is None else user_of(row)

    def list(self) -> UserList:
        """All of them, by name."""
        with self._database.read() as connection:
            found = connection.execute(sa.select(users).order_by(users.c.name)).mappings().all()
        return [user_of(row) for row in found]

    def set_role(self, name: str, role: Role, action: Action) -> bool:
        """Change a role; it holds from the next request on. False: there is no such user."""
        return self._change(name, {"role": role}, action)

    def set_password(self, name: str, password_hash: str, action: Action) -> bool:
        """Change a password, and end all sessions of the user. False: there is no such user."""
        values = {"password_hash": password_hash, "password_changed_at": db_now()}
        return self._change(name, values, action, ends_sessions=True)

    def set_hash(self, name: str, before: str, after: str) -> None:
        """Keep a stronger hash of the same password."""
        is_same = (users.c.name == name) & (users.c.password_hash == before)
        with self._database.write() as connection:
            connection.execute(sa.update(users).where(is_same).values(password_hash=after))

    def set_disabled(self, name: str, action: Action, *, disabled: bool) -> bool:
        """Keep a user out, or let the user in again; all sessions end. False: there is no such user."""
        return self._change(name, {"disabled_at": db_now() if disabled else None}, action, ends_sessions=True)

    def remove(self, name: str, action: Action) -> bool:
        """Remove a user with all sessions, and revoke the user's tokens. False: there is no such user."""
        with self._database.write() as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.user_name == name))
            of_user = sa.func.coalesce(tokens.c.user_name, tokens.c.created_by) == name
            live = of_user & tokens.c.revoked_at.is_(None)
            connection.execute(sa.update(tokens).where(live).values(revoked_at=db_now()))
            is_gone = connection.execute(sa.delete(users).where(users.c.name == name)).rowcount == 1
            if is_gone:
                insert_action(connection, action)
        return is_gone

    def _change(self, name: str, values: Mapping[str, Any], action: Action, *, ends_sessions: bool = False) -> bool:
        with self._database.write() as connection:
            is_known = connection.execute(sa.update(users).where(users.c.name == name).values(values)).rowcount == 1
            if is_known:
                insert_action(connection, action)
                if ends_sessions:
                    connection.execute(sa.delete(sessions).where(sessions.c.user_name == name))
        return is_known


def user_of(row: sa.RowMapping) -> User:
    """The user that a row of the table is."""
    values: dict[str, Any] = {column.name: row[column.name] for column in users.c}
    values["role"] = Role(row["role"])
    return User(**values)
