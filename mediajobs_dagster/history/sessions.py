"""Who is logged in. The table has hashes of the cookies, not the cookies: who reads it can use none."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import sqlalchemy as sa

from mediajobs_dagster.errors import DatabaseBusyError
from mediajobs_dagster.history.actions import Action, insert_action
from mediajobs_dagster.history.clock import db_now, db_time_in
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.later import Later, at_once
from mediajobs_dagster.history.schema import sessions, users
from mediajobs_dagster.history.users import User, user_of
from mediajobs_dagster.models import JsonObject

_TOUCHED = timedelta(minutes=1)
"""How exactly it is known when a session was last seen: a request writes no more often."""
_AT_ONCE = 100
"""How many that have ended a new one clears away."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """A login that has not ended."""

    id: str
    """The SHA-256 of the cookie, in hexadecimal."""
    user_name: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    address: str
    """Of the client at login."""
    client: str
    """What the browser calls itself."""

    @property
    def short_id(self) -> str:
        """Enough of the id to name it by; nothing can be done with it."""
        return self.id[:12]

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "id": self.short_id,
            "userName": self.user_name,
            "createdAt": self.created_at.isoformat(),
            "lastSeenAt": self.last_seen_at.isoformat(),
            "expiresAt": self.expires_at.isoformat(),
            "address": self.address,
            "client": self.client,
        }


SessionList = list[Session]


class SessionRows:
    """Reads and writes the table of sessions."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def begin(self, id: str, user_name: str, lasts: timedelta, address: str, client: str, action: Action) -> None:
        """Keep a new session, for that long at most. Some of those that have ended go."""
        row = {"id": id, "user_name": user_name, "created_at": db_now(), "last_seen_at": db_now()}
        row |= {"expires_at": db_time_in(lasts.total_seconds()), "address": address, "client": client}
        with self._database.write() as connection:
            old = sa.select(sessions.c.id).where(sessions.c.expires_at < db_now()).limit(_AT_ONCE)
            connection.execute(sa.delete(sessions).where(sessions.c.id.in_(old)))
            connection.execute(sa.insert(sessions).values(row))
            insert_action(connection, action)

    def user_of(self, id: str, idle: timedelta, later: Later = at_once) -> User | None:
        """Whose session it is; None: there is none, it has ended, was idle for too long, or its user is kept out.

        That it was seen is written `later`.
        """
        with self._database.read() as connection:
            asked = {"of_id": id, "idle_from_s": -idle.total_seconds()}
            row = connection.execute(_USER_OF, asked).mappings().one_or_none()
        if row is not None and row["is_due"]:
            later(partial(self._touch, id))
        return None if row is None else user_of(row)

    def _touch(self, id: str) -> None:
        with suppress(DatabaseBusyError), self._database.write() as connection:  # nothing is lost without it
            connection.execute(sa.update(sessions).where(sessions.c.id == id).values(last_seen_at=db_now()))

    def list(self, idle: timedelta, user_name: str | None = None) -> SessionList:
        """The live ones, the one that was seen last first; those of a user, if one is named."""
        is_live = (sessions.c.expires_at > db_now()) & (sessions.c.last_seen_at > db_time_in(-idle.total_seconds()))
        statement = sa.select(sessions).where(is_live).order_by(sessions.c.last_seen_at.desc(), sessions.c.id)
        if user_name is not None:
            statement = statement.where(sessions.c.user_name == user_name)
        with self._database.read() as connection:
            return [Session(**row) for row in connection.execute(statement).mappings()]

    def end(self, id: str, action: Action) -> bool:
        """End a session; False: it has ended already."""
        with self._database.write() as connection:
            is_ended = connection.execute(sa.delete(sessions).where(sessions.c.id == id)).rowcount == 1
            if is_ended:
                insert_action(connection, action)
        return is_ended


# Built once: it is asked with each request.
_USER_OF = (
    sa.select(users, (sessions.c.last_seen_at < db_time_in(-_TOUCHED.total_seconds())).label("is_due"))
    .join(sessions, sessions.c.user_name == users.c.name)
    .where(
        sessions.c.id == sa.bindparam("of_id"),
        sessions.c.expires_at > db_now(),
        sessions.c.last_seen_at > db_time_in(sa.bindparam("idle_from_s", type_=sa.Float())),
        users.c.disabled_at.is_(None),
    )
)
