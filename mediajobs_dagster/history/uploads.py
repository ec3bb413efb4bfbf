"""The media files that the system knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.history.database import Database, insert_or_ignore
from mediajobs_dagster.history.paging import newer_than, pages
from mediajobs_dagster.history.schema import uploads
from mediajobs_dagster.models import MediaInfo, Upload

_PAGE = 500


@dataclass(frozen=True)
class DaySummary:
    """The uploads of one UTC day."""

    count: int
    bytes: int
    seconds: float
    """Media seconds of the uploads that have been probed."""


class Uploads:
    """Reads and writes the uploads table."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add(self, upload: Upload) -> Upload:
        """Register an upload; where its origin is known already, nothing is written and the known one comes back."""
        with self._database.write() as connection:
            return add_upload(connection, upload)

    def get(self, upload_id: str) -> Upload:
        """The upload with this id. Raises NotFoundError."""
        found = self._one(uploads.c.id == upload_id)
        if found is None:
            raise NotFoundError(f"There is no upload {upload_id}.")
        return found

    def find_by_origin(self, origin: str) -> Upload | None:
        """The upload that was registered from `origin`, if any."""
        return self._one(uploads.c.origin == origin)

    def _one(self, condition: sa.ColumnElement[bool]) -> Upload | None:
        with self._database.read() as connection:
            row = connection.execute(sa.select(uploads).where(condition)).mappings().one_or_none()
        return None if row is None else _upload_of(row)

    def set_media_info(self, upload_id: str, info: MediaInfo) -> None:
        """Keep what probing found. Raises NotFoundError."""
        statement = sa.update(uploads).where(uploads.c.id == upload_id).values(media_info=info.to_json())
        with self._database.write() as connection:
            if connection.execute(statement).rowcount == 0:
                raise NotFoundError(f"There is no upload {upload_id}.")

    def of_day(self, day: date) -> Iterator[Upload]:
        """The uploads created on a UTC day, oldest first."""

        def fetch(last: Upload | None) -> list[Upload]:
            statement = sa.select(uploads).where(*_on(day)).order_by(uploads.c.created_at, uploads.c.id).limit(_PAGE)
            if last is not None:
                statement = statement.where(newer_than(uploads, last.created_at, last.id))
            with self._database.read() as connection:
                return [_upload_of(row) for row in connection.execute(statement).mappings()]

        return pages(fetch)

    def day_summary(self, day: date) -> DaySummary:
        """How many uploads a UTC day brought, of how many bytes and media seconds."""
        seconds = uploads.c.media_info["durationSeconds"].as_float()
        statement = sa.select(
            sa.func.count(),
            sa.func.coalesce(sa.func.sum(uploads.c.bytes), 0),
            sa.func.coalesce(sa.func.sum(seconds), 0.0),
        ).where(*_on(day))
        with self._database.read() as connection:
            count, total, duration = connection.execute(statement).one()
        return DaySummary(count=count, bytes=int(total), seconds=float(duration))


def add_upload(connection: sa.Connection, upload: Upload) -> Upload:
    """Insert an upload within a transaction, or get the one that has its origin, or its id, already."""
    row = upload.model_dump()
    row["media_info"] = upload.media_info and upload.media_info.to_json()
    connection.execute(insert_or_ignore(connection, uploads), row)
    same = uploads.c.id == upload.id
    if upload.origin is not None:
        same = sa.or_(same, uploads.c.origin == upload.origin)
    # Should its id and its origin belong to two different uploads, the origin says which media it is.
    statement = sa.select(uploads).where(same).order_by((uploads.c.id == upload.id).asc()).limit(1)
    return _upload_of(connection.execute(statement).mappings().one())


def _on(day: date) -> tuple[sa.ColumnElement[bool], ...]:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return uploads.c.created_at >= start, uploads.c.created_at < start + timedelta(days=1)


def _upload_of(row: sa.RowMapping) -> Upload:
    return Upload.model_validate(dict(row))
