"""Alembic's entry point; `migrate` hands it a connection that is already in a transaction."""

from __future__ import annotations

from alembic import context

from mediajobs_dagster.history.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite's too: a migration that fails leaves nothing behind
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
