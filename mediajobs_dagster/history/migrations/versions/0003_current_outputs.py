"""Which attempt's outputs are the current ones of each subject, and which job types an upload was registered for.

Of every subject and job type with a success, that is the newest one. Its outputs keep the keys that they have.
"""

from __future__ import annotations

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


def upgrade() -> None:
    """Make the table, and fill it; and the column, of which nothing is known for earlier uploads."""
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
    op.add_column("uploads", sa.Column("asked_types", sa.JSON()))


def downgrade() -> None:
    """Not possible: code of schema 0002 looks for outputs under keys that are not used any more."""
    raise NotImplementedError("Schema 0003 cannot be taken back. Restore a copy that was made before the upgrade.")
