"""The title of each timeline in a column of its own, and how far each job is that is being worked on."""

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

_timelines = sa.table("timelines", sa.column("id"), sa.column("title", ForeignText()))


def upgrade() -> None:
    """Add the columns, and fill the titles from the documents."""
    op.add_column("jobs", sa.Column("progress", sa.JSON()))
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
