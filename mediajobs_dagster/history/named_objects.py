"""Which objects the history names: the contents of uploads, and the current outputs of subjects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from mediajobs_dagster.history.attempts import outputs_of
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.schema import current_outputs, job_history, uploads

_PAGE = 1000
_RECORDED_AT = sa.func.coalesce(job_history.c.completed_at, job_history.c.created_at).label("recorded_at")


@dataclass(frozen=True)
class NamedObject:
    """An object that should be in the storage."""

    key: str
    by: str
    """Who names it, for people: `upload ID`, or `JOB_TYPE of SUBJECT`."""
    since: datetime
    """When the history named it first, UTC; an object that a job made again may have a later name."""


class NamedObjects:
    """Goes through all names. No transaction stays open between two pages, so nobody waits for a slow reader."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def all(self) -> Iterator[NamedObject]:
        """Every name. An export has two: as an upload, and as an output."""
        yield from self._of_uploads()
        yield from self._of_outputs()

    def registered_since(self, moment: datetime) -> set[str]:
        """The keys of the uploads that were registered at that moment or later; ask for hours, not for days."""
        statement = sa.select(uploads.c.storage_key).where(uploads.c.created_at >= moment)
        with self._database.read() as connection:
            return set(connection.scalars(statement))

    def _of_uploads(self) -> Iterator[NamedObject]:
        columns, last = (uploads.c.id, uploads.c.storage_key, uploads.c.created_at), ""
        while True:
            statement = sa.select(*columns).where(uploads.c.id > last).order_by(uploads.c.id).limit(_PAGE)
            with self._database.read() as connection:
                rows = connection.execute(statement).all()
            if not rows:
                return
            for row in rows:
                yield NamedObject(row.storage_key, f"upload {row.id}", row.created_at)
            last = rows[-1].id

    def _of_outputs(self) -> Iterator[NamedObject]:
        position, last = sa.tuple_(current_outputs.c.subject_id, current_outputs.c.job_type), ("", "")
        while True:
            statement = (
                sa.select(*position.clauses, job_history.c.result, _RECORDED_AT)
                .select_from(current_outputs)
                .outerjoin(job_history, job_history.c.id == current_outputs.c.attempt_id)
                .where(position > sa.tuple_(sa.literal(last[0]), sa.literal(last[1])))
                .order_by(*position.clauses)
                .limit(_PAGE)
            )
            with self._database.read() as connection:
                rows = connection.execute(statement).all()
            if not rows:
                return
            for row in rows:
                for output in outputs_of(row.result):
                    yield NamedObject(output["key"], f"{row.job_type} of {row.subject_id}", row.recorded_at)
            last = (rows[-1].subject_id, rows[-1].job_type)
