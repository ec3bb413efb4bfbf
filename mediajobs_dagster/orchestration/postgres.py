"""Dagster's own storage in a cluster: PostgreSQL, without the events that nobody reads.

`deploy/dagster.celery.yaml` names it. It takes the configuration of Dagster's own class, and the same tables.
"""

# dagster-postgres is typed in part:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from typing import Any

from typing_extensions import override

from mediajobs_dagster.orchestration.internals.core import ConfigurableClassData
from mediajobs_dagster.orchestration.internals.postgres import (
    DagsterPostgresStorage,
    PostgresEventLogStorage,
    get_token_provider_from_config,
    pg_url_from_config,
)
from mediajobs_dagster.orchestration.kept_events import KeptEvents


class ClusterEvents(KeptEvents, PostgresEventLogStorage):
    """The event log in PostgreSQL."""


class ClusterStorage(DagsterPostgresStorage):
    """Runs, events, and schedule state in PostgreSQL."""

    def __init__(self, postgres_url: str, *, token_provider: Any = None, **options: Any) -> None:
        super().__init__(postgres_url, token_provider=token_provider, **options)
        # The tables are there by now.
        self._kept = ClusterEvents(postgres_url, should_autocreate_tables=False, token_provider=token_provider)

    @property
    @override
    def event_log_storage(self) -> ClusterEvents:
        return self._kept

    @classmethod
    @override
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> ClusterStorage:
        return cls(
            pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            token_provider=get_token_provider_from_config(config_value),
            inst_data=inst_data,
        )
