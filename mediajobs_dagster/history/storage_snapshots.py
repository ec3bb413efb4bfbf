"""What storage reports have found, one row for each. Only whole ones are stored, so any two can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.schema import storage_snapshots
from mediajobs_dagster.models import JsonObject

_LOOKED_AT = 50
"""Among how many of the newest one of the same storage is looked for."""


@dataclass(frozen=True)
class Snapshot:
    """A storage at one moment."""

    id: str
    taken_at: datetime
    """When its objects began to be counted, UTC."""
    objects: int
    bytes: int
    report: JsonObject
    """All of it, as `StorageReport` writes it."""


class StorageSnapshots:
    """Reads and writes the table of snapshots."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add(self, snapshot: Snapshot) -> None:
        """Store a snapshot."""
        values = {column.name: getattr(snapshot, column.name) for column in storage_snapshots.c}
        with self._database.write() as connection:
            connection.execute(sa.insert(storage_snapshots), values)

    def list(self, *, limit: int = 50) -> Sequence[Snapshot]:
        """The newest snapshots, the newest first."""
        statement = sa.select(*storage_snapshots.c).order_by(
            storage_snapshots.c.taken_at.desc(), storage_snapshots.c.id.desc()
        )
        with self._database.read() as connection:
            return [Snapshot(**row) for row in connection.execute(statement.limit(limit)).mappings()]

    def latest(self, storage: str) -> Snapshot | None:
        """The newest snapshot of the storage at that address; None if there is none among the last fifty."""
        return next((each for each in self.list(limit=_LOOKED_AT) if each.report.get("storage") == storage), None)
