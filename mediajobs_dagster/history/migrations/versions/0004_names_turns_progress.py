"""Titles of timelines, turns and progress of jobs, and which job types an upload was added for.

Jobs that wait and have not been tried take turns by their trace, as if all had been asked for at once. Of
earlier uploads it is not known which types were asked for.
"""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

from mediajobs_dagster.history.schema import ForeignText

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_AT_ONCE = 50
"""Documents read at once: each may have a megabyte."""
_UNTITLED = "Untitled"

# Literals, as in the schema of this version: an old migration does not change when the code does.
_FREE = "status IN ('queued', 'failed') AND dispatch_id IS NULL"
_NEW = "status = 'queued' AND dispatch_id IS NULL AND attempts = 0"
_TURNS = f"""
UPDATE jobs SET turn = numbered.turn
FROM (
    SELECT id, row_number() OVER (PARTITION BY job_type, priority, trace_id ORDER BY id) AS turn
    FROM jobs WHERE {_NEW}
) AS numbered
WHERE numbered.id = jobs.id
"""
_SQLITE_STATISTICS = {
    "jobs_to_assign": ("jobs", "5000 1000 500 50 1 1 1"),
    "jobs_to_assign_of_trace": ("jobs", "5000 20 10 10 5 1 1"),
    "jobs_in_turn": ("jobs", "5000 1000 500 50"),
    "timelines_titled": ("timelines", "10000 2"),
}

_timelines = sa.table("timelines", sa.column("id"), sa.column("title", ForeignText()))


def upgrade() -> None:
    """Add the columns; fill the titles from the documents, and give the jobs that wait their turns."""
    op.add_column("jobs", sa.Column("progress", sa.JSON()))
    op.add_column("uploads", sa.Column("asked_types", sa.JSON()))
    _add_turns()
    _add_titles()
    if op.get_context().dialect.name == "sqlite":
        _write_sqlite_statistics()


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


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def _write_sqlite_statistics() -> None:
    # SQLite forgets them together with an index; what they are is told in 0001.
    statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    op.execute(statistics.delete().where(statistics.c.idx.in_(_SQLITE_STATISTICS)))
    rows = [{"tbl": table, "idx": name, "stat": stat} for name, (table, stat) in _SQLITE_STATISTICS.items()]
    op.bulk_insert(statistics, rows)
    op.execute("ANALYZE sqlite_schema")  # has this connection read them


def _add_titles() -> None:
    op.add_column("timelines", sa.Column("title", sa.Text(), nullable=False, server_default=_UNTITLED))
    connection = op.get_bind()
    ids = connection.scalars(sa.select(_timelines.c.id).order_by(_timelines.c.id)).all()
    setting = sa.update(_timelines).where(_timelines.c.id == sa.bindparam("of_id")).values(title=sa.bindparam("named"))
    reading = sa.text("SELECT id, document FROM timelines WHERE id IN :ids").bindparams(
        sa.bindparam("ids", expanding=True)
    )
    for start in range(0, len(ids), _AT_ONCE):
        some = list(ids[start : start + _AT_ONCE])
        found = [(row.id, _title(row.document)) for row in connection.execute(reading, {"ids": some})]
        if titled := [{"of_id": timeline_id, "named": title} for timeline_id, title in found if title]:
            connection.execute(setting, titled)
    op.create_index("timelines_titled", "timelines", ["title"])


def _title(document: Any) -> str:
    # PostgreSQL's driver decodes it.
    decoded: dict[str, Any] | None = json.loads(document) if isinstance(document, str) else document
    return str((decoded or {}).get("title") or "")


def downgrade() -> None:
    """Not possible: code of schema 0003 adds timelines without a title."""
    raise NotImplementedError("Schema 0004 cannot be taken back. Restore a copy that was made before the upgrade.")
