"""How far each schedule has come, and what it missed: one row a schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mediajobs_dagster.history.attempts import insert_attempt
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.folding import fold_in_turn
from mediajobs_dagster.history.schema import schedules
from mediajobs_dagster.models import Attempt

_COLUMNS = ("name", "times", "last_moment", "missed_at", "missed", "missed_in_all")


@dataclass(frozen=True)
class ScheduleRow:
    """How far a schedule has come."""

    name: str
    """The job type."""
    times: str
    """Its cron and time zone, by which `last_moment` was found."""
    last_moment: datetime
    """The latest moment that was asked for, or passed over."""
    missed_at: datetime | None
    """When it was last found to have missed moments."""
    missed: int
    """How many it missed then."""
    missed_in_all: int


class ScheduleRows:
    """Reads and writes the table of schedules."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def all(self) -> dict[str, ScheduleRow]:
        """Every row, by the name of the job type."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(*(schedules.c[name] for name in _COLUMNS))).mappings()
            return {row["name"]: ScheduleRow(**row) for row in rows}

    def get(self, name: str) -> ScheduleRow | None:
        """The row of one schedule; None: it has not been seen yet."""
        return self.all().get(name)

    def begin(self, name: str, times: str, moment: datetime) -> None:
        """Let a schedule begin at a moment: it is new, its times were changed, or the clock was set back."""
        dialect = sqlite if self._database.is_sqlite else postgresql
        values = {"times": times, "last_moment": moment}
        insert = dialect.insert(schedules).values(name=name, missed=0, missed_in_all=0, **values)
        with self._database.write() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=[schedules.c.name], set_=values))

    def advance(
        self, row: ScheduleRow, moment: datetime, *, missed: int = 0, at: datetime, entry: Attempt | None = None
    ) -> bool:
        """Note that everything up to a moment was asked for or passed over; `missed` of it too late or never.

        `entry` is the row of the history that tells of these. False, and nothing is written, if another process has
        advanced the schedule since `row` was read.
        """
        values = {"last_moment": moment}
        if missed:
            values |= {"missed_at": at, "missed": missed, "missed_in_all": schedules.c.missed_in_all + missed}
        is_same = (schedules.c.name == row.name, schedules.c.last_moment == row.last_moment)
        with self._database.write() as connection:
            if not connection.execute(sa.update(schedules).where(*is_same).values(values)).rowcount:
                return False
            if entry is not None:
                insert_attempt(connection, entry)
        if entry is not None:
            fold_in_turn(self._database, entry.id)
        return True
