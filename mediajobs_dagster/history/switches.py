"""Breakers that a person has set, each with the reason and the person."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mediajobs_dagster.history.actions import Action, insert_action
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.schema import breaker_switches
from mediajobs_dagster.models import JsonObject


class SwitchScope(StrEnum):
    """What a breaker stops."""

    JOB_TYPE = "job_type"
    """The dispatch of a job type, its schedule included."""
    HOST = "host"
    """The claims of a machine."""


class SwitchState(StrEnum):
    """How a person has set a breaker."""

    OPEN = "open"
    """Nothing of it starts until a person closes it."""
    CLOSED = "closed"
    """Failures before that moment do not count."""


@dataclass(frozen=True, kw_only=True)
class Switch:
    """A breaker that a person has set."""

    scope: SwitchScope
    name: str
    """The job type, or the name of the machine."""
    state: SwitchState
    since: datetime
    """When, by the database's clock."""
    reason: str
    who: str

    @property
    def is_open(self) -> bool:
        """Whether it holds everything."""
        return self.state is SwitchState.OPEN

    @property
    def closed_at(self) -> datetime | None:
        """The moment before which failures do not count; None: it is open."""
        return None if self.is_open else self.since

    def to_json(self) -> JsonObject:
        """The camelCase JSON form."""
        return {
            "state": self.state,
            "since": self.since.isoformat(),
            "reason": self.reason,
            "who": self.who,
        }


SwitchDict = dict[str, Switch]


class Switches:
    """Reads and writes the table of switches."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def get(self, scope: SwitchScope, name: str) -> Switch | None:
        """How a person has set a breaker; None: nobody has."""
        with self._database.read() as connection:
            row = connection.execute(_ONE, {"of_scope": scope, "of_name": name}).mappings().one_or_none()
        return None if row is None else _switch_of(row)

    def all(self, scope: SwitchScope) -> SwitchDict:
        """Every breaker of that scope that a person has set, by name."""
        with self._database.read() as connection:
            found = [_switch_of(row) for row in connection.execute(_ALL, {"of_scope": scope}).mappings()]
        return {switch.name: switch for switch in found}

    def set(self, switch: Switch) -> None:
        """Set a breaker; that is on record as an action."""
        values = {each.name: getattr(switch, each.name) for each in fields(switch)}
        action = Action(
            action=f"breaker {'open' if switch.is_open else 'close'}",
            target=f"{switch.scope.replace('_', ' ')} {switch.name}",
            count=1,
            reason=switch.reason,
            who=switch.who,
        )
        with self._database.write() as connection:
            dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
            statement = dialect.insert(breaker_switches)
            connection.execute(
                statement.on_conflict_do_update(index_elements=list(breaker_switches.primary_key), set_=values), values
            )
            insert_action(connection, action)


def _switch_of(row: sa.RowMapping) -> Switch:
    return Switch(
        scope=SwitchScope(row["scope"]),
        name=row["name"],
        state=SwitchState(row["state"]),
        since=row["since"],
        reason=row["reason"],
        who=row["who"],
    )


# Built once: they are asked whenever a job may be dispatched or claimed.
_ALL = sa.select(breaker_switches).where(breaker_switches.c.scope == sa.bindparam("of_scope"))
_ONE = _ALL.where(breaker_switches.c.name == sa.bindparam("of_name"))
