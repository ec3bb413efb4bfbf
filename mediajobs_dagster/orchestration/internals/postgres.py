"""dagster-postgres, which comes with the extra `cluster`."""

# It is typed in part:
# pyright: reportUnknownVariableType=false
from __future__ import annotations

from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import get_token_provider_from_config, pg_url_from_config

__all__ = [
    "DagsterPostgresStorage",  # runs, events and schedules in PostgreSQL; ours has another event log
    "PostgresEventLogStorage",  # its event log; ours leaves out the events that nobody reads
    "get_token_provider_from_config",  # reads the configuration that both take
    "pg_url_from_config",  # likewise
]
