"""Which attempt's outputs are the current ones of each subject, and the turn of each job.

Of every subject and job type with a success, the newest one is the current one. Its outputs keep the keys that they
have. Jobs that wait and have not been tried take turns by their trace, as if all had been asked for at once.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Only ids go through the sort, and on both engines it uses the disk when they are many.
_FILLING = """
INSERT INTO current_outputs (subject_id, job_type, attempt_id)
SELECT subject_id, job_type, attempt_id
FROM (
    SELECT jobs.subject_id, jobs.job_type, job_history.id AS attempt_id,
        row_number() OVER (
            PARTITION BY jobs.subject_id, jobs.job_type ORDER BY job_history.created_at DESC, job_history.id DESC
        ) AS age
    FROM job_history JOIN jobs ON jobs.id = job_history.job_id
    WHERE job_history.status = 'success'
) AS successes
WHERE age = 1
"""

# Literals, as in the schema of this version: an old migration does not change when the code does.
_FREE = "status IN ('queued', 'failed') AND dispatch_id IS NULL"
_NEW = "status = 'queued' AND dispatch_id IS NULL AND attempts = 0"
_TURNS = f"""
UPDATE jobs SET turn = (
    SELECT numbered.turn FROM (
        SELECT id, row_number() OVER (PARTITION BY job_type, priority, trace_id ORDER BY id) AS turn
        FROM jobs WHERE {_NEW}
    ) AS numbered WHERE numbered.id = jobs.id
) WHERE {_NEW}
"""
_SQLITE_STATISTICS = {
    "jobs_to_assign": "5000 1000 500 50 1 1 1",
    "jobs_to_assign_of_trace": "5000 20 10 10 5 1 1",
    "jobs_in_turn": "5000 1000 500 50",
}


def upgrade() -> None:
    """Make the table, and fill it; give the jobs their turns."""
    op.create_table(
        "current_outputs",
        sa.Column("subject_id", sa.String(), nullable=False),
        sa.Column("job_type", sa.String(), nullable=False),
        sa.Column("attempt_id", sa.String(), nullable=False),
        sa.Column("replaced_id", sa.String()),
        sa.PrimaryKeyConstraint("subject_id", "job_type", name="current_outputs_pkey"),
        sqlite_with_rowid=False,
    )
    op.execute(_FILLING)
    _add_turns()


def _add_turns() -> None:
    op.add_column("jobs", sa.Column("turn", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.execute(_TURNS)
    first = ["job_type", sa.text("priority DESC"), "turn", "id", "not_before", "trace_id"]
    of_trace = ["trace_id", "job_type", "subject_day", sa.text("priority DESC"), "turn", "id"]
    for name in ("jobs_to_assign", "jobs_to_assign_of_trace"):
        op.drop_index(name, "jobs")
    op.create_index("jobs_to_assign", "jobs", first, **_where(_FREE))
    op.create_index("jobs_to_assign_of_trace", "jobs", of_trace, **_where(_FREE))
    op.create_index("jobs_in_turn", "jobs", ["job_type", "priority", "turn"], **_where(_NEW))
    if op.get_context().dialect.name == "sqlite":
        _write_sqlite_statistics()


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _write_sqlite_statistics() -> None:
    # SQLite forgets them together with an index; what they are is told in 0001.
    statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    op.execute(statistics.delete().where(statistics.c.idx.in_(_SQLITE_STATISTICS)))
    rows = [{"tbl": "jobs", "idx": name, "stat": figures} for name, figures in _SQLITE_STATISTICS.items()]
    op.bulk_insert(statistics, rows)
    op.execute("ANALYZE sqlite_schema")  # has this connection read them


def downgrade() -> None:
    """Not possible: code of schema 0002 looks for outputs under keys that are not used any more."""
    raise NotImplementedError("Schema 0003 cannot be taken back. Restore a copy that was made before the upgrade.")
