"""Users, sessions, tokens, and attempts to log in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_SQLITE_STATISTICS: dict[str, dict[str, str]] = {
    "sessions": {"sessions_by_user": "1000 10", "sessions_by_end": "1000 2"},
    "tokens": {"tokens_by_secret": "100 1"},
    "login_attempts": {"login_attempts_by_time": "1000 2"},
}


def upgrade() -> None:
    """Make the tables. Nobody is known at first."""
    _create_users()
    _create_sessions()
    _create_tokens()
    _create_login_attempts()
    if op.get_context().dialect.name == "sqlite":
        _write_sqlite_statistics()


def downgrade() -> None:
    """Drop them."""
    for name in ("login_attempts", "tokens", "sessions", "users"):
        op.drop_table(name)


def _write_sqlite_statistics() -> None:
    # What they are is told in 0001.
    statistics = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    rows = [
        {"tbl": table, "idx": index, "stat": figures}
        for table, indexes in _SQLITE_STATISTICS.items()
        for index, figures in indexes.items()
    ]
    op.bulk_insert(statistics, rows)
    op.execute("ANALYZE sqlite_schema")  # has this connection read them


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("password_hash", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("password_changed_at", sa.DateTime(timezone=True)),
        sa.Column("disabled_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("name", name="users_pkey"),
        sqlite_with_rowid=False,
    )


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("user_name", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="sessions_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_index("sessions_by_user", "sessions", ["user_name"])
    op.create_index("sessions_by_end", "sessions", ["expires_at"])


def _create_tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("user_name", sa.String()),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="tokens_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_index("tokens_by_secret", "tokens", ["sha256"], unique=True)


def _create_login_attempts() -> None:
    op.create_table(
        "login_attempts",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("free_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("key", name="login_attempts_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_index("login_attempts_by_time", "login_attempts", ["last_at"])
