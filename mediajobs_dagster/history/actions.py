"""What people and programs did: who did what to what, when and why."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.paging import starting_after
from mediajobs_dagster.history.schema import actions
from mediajobs_dagster.models import JsonObject, new_id, utc_now

_acting: ContextVar[str | None] = ContextVar("acting", default=None)


@contextmanager
def acting_as(who: str) -> Generator[None]:
    """What is done within the block, in this thread or task, is recorded as done by `who`."""
    token = _acting.set(who)
    try:
        yield
    finally:
        _acting.reset(token)


def this_person() -> str:
    """Who acts here: whom `acting_as` names, else the user and the machine, such as anna@render-1."""
    if who := _acting.get():
        return who
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run a user that has no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something that a person did."""

    action: str
    """What was done, such as `jobs retry` or `breaker open`."""
    target: str
    """To what, in a few words."""
    count: int
    """To how many of them."""
    reason: str = ""
    """Why, in the words of the person; empty: no reason was given."""
    who: str = field(default_factory=this_person)
    details: JsonObject | None = None
    """Further facts, such as the conditions of a filter."""
    id: str = field(default_factory=new_id)
    at: datetime = field(default_factory=utc_now)

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "id": self.id,
            "at": self.at.isoformat(),
            "action": self.action,
            "target": self.target,
            "count": self.count,
            "reason": self.reason,
            "who": self.who,
            "details": self.details,
        }


ActionList = list[Action]


class Actions:
    """Reads and writes the table of actions."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def record(self, action: Action) -> None:
        """Write an action down."""
        with self._database.write() as connection:
            insert_action(connection, action)

    def list(self, *, limit: int = 50, name: str | None = None, after: str | None = None) -> ActionList:
        """One page, the newest first; only those called `name`, if it is given.

        `after` is the last id of the page before. Raises NotFoundError when it is gone.
        """
        statement = sa.select(*actions.c).order_by(actions.c.at.desc(), actions.c.id.desc()).limit(limit)
        if name is not None:
            statement = statement.where(actions.c.action == name)
        with self._database.read() as connection:
            behind = starting_after(connection, actions, after, column="at")
            statement = statement.where(*behind)
            return [Action(**row) for row in connection.execute(statement).mappings()]


def insert_action(connection: sa.Connection, action: Action) -> None:
    """Write an action down, within a transaction."""
    values: dict[str, Any] = {column.name: getattr(action, column.name) for column in actions.c}
    connection.execute(sa.insert(actions), values)
