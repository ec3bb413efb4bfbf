"""Which attempt's outputs are the current ones of a subject.

Each attempt publishes under keys of its own. The record of a success points at them, in the transaction that also finds
that the job still belongs to the attempt (`Leases.finish`). The success that is recorded last wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from mediajobs_dagster.history.attempts import LIGHT_COLUMNS, attempt_of
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.schema import current_outputs, job_history, jobs
from mediajobs_dagster.models import Attempt, AttemptStatus, JsonObject


@dataclass(frozen=True)
class Standing:
    """What is known of an attempt, for whoever finds an object of it."""

    status: AttemptStatus
    job_id: str | None
    current_id: str | None
    """The attempt whose outputs are the current ones of the same subject and job type; None if there is none."""


class Current:
    """Reads the pointers to current outputs."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def of(self, job_type: str, subject_id: str) -> Attempt | None:
        """The successful attempt whose outputs are the current ones, without its manifest."""
        with self._database.read() as connection:
            of = {"of_subject": subject_id, "of_type": job_type}
            row = connection.execute(_CURRENT, of).mappings().one_or_none()
        return None if row is None else attempt_of(row)

    def results(self, job_type: str, subject_ids: Sequence[str]) -> dict[str, JsonObject]:
        """The result of the attempt whose outputs are the current ones of each of these subjects, by subject id.

        Subjects without one are left out. Ask for some hundreds at a time.
        """
        of = {"of_subjects": list(subject_ids), "of_type": job_type}
        with self._database.read() as connection:
            rows = connection.execute(_RESULTS, of)
            return {row.subject_id: row.result for row in rows if row.result is not None}

    def standings(self, attempt_ids: Sequence[str]) -> dict[str, Standing]:
        """What is known of these attempts, by id, all at one moment. Ids that no attempt has are left out.

        Ask for some hundreds at a time.
        """
        with self._database.read() as connection:
            rows = connection.execute(_STANDINGS, {"of_attempts": list(attempt_ids)})
            return {row.id: Standing(AttemptStatus(row.status), row.job_id, row.attempt_id) for row in rows}


def point_at(connection: sa.Connection, attempt: Attempt, *, subject_id: str, job_type: str) -> str | None:
    """Make the outputs of an attempt the current ones, within a transaction; returns the attempt that it replaces."""
    pointer = {"subject_id": subject_id, "job_type": job_type, "attempt_id": attempt.id}
    return connection.scalar(_POINTING, pointer)


def replaced_by(connection: sa.Connection, attempt: Attempt, *, subject_id: str, job_type: str) -> str | None:
    """The attempt that this one replaced, if its outputs are the current ones and it replaced one."""
    of = {"of_subject": subject_id, "of_type": job_type, "of_attempt": attempt.id}
    return connection.scalar(_REPLACED, of)


_IS_OF = sa.and_(
    current_outputs.c.subject_id == sa.bindparam("of_subject"), current_outputs.c.job_type == sa.bindparam("of_type")
)

# Built once, see `leases.py`. This one as text, because an upsert that SQLAlchemy composes is composed each time.
# The row that is updated is the latest one, whoever else pointed meanwhile: no replaced attempt is missed.
_POINTING = sa.text(
    "INSERT INTO current_outputs (subject_id, job_type, attempt_id) VALUES (:subject_id, :job_type, :attempt_id) "
    "ON CONFLICT (subject_id, job_type) DO UPDATE "
    "SET replaced_id = current_outputs.attempt_id, attempt_id = excluded.attempt_id "
    "RETURNING replaced_id"
)
_REPLACED = sa.select(current_outputs.c.replaced_id).where(
    _IS_OF, current_outputs.c.attempt_id == sa.bindparam("of_attempt")
)
_CURRENT = (
    sa.select(*LIGHT_COLUMNS).join(current_outputs, current_outputs.c.attempt_id == job_history.c.id).where(_IS_OF)
)
_RESULTS = (
    sa.select(current_outputs.c.subject_id, job_history.c.result)
    .join(job_history, job_history.c.id == current_outputs.c.attempt_id)
    .where(
        current_outputs.c.subject_id.in_(sa.bindparam("of_subjects", expanding=True)),
        current_outputs.c.job_type == sa.bindparam("of_type"),
    )
)
_STANDINGS = (
    sa.select(job_history.c.id, job_history.c.status, job_history.c.job_id, current_outputs.c.attempt_id)
    .select_from(job_history)
    .outerjoin(jobs, jobs.c.id == job_history.c.job_id)
    .outerjoin(
        current_outputs,
        sa.and_(current_outputs.c.subject_id == jobs.c.subject_id, current_outputs.c.job_type == jobs.c.job_type),
    )
    .where(job_history.c.id.in_(sa.bindparam("of_attempts", expanding=True)))
)
