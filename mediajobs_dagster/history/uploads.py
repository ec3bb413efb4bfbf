"""The media files that the system knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.history.database import Database, insert_new
from mediajobs_dagster.history.enqueueing import Enqueued, insert_jobs
from mediajobs_dagster.history.folding import fold_in_turn
from mediajobs_dagster.history.paging import Conditions, newer_than, newest_of, of_day, pages, starting_after
from mediajobs_dagster.history.schema import current_outputs, folded, upload_days, uploads
from mediajobs_dagster.models import MediaInfo, NewJob, Upload, UploadRole, utc_now

_PAGE = 500
UPLOAD_COLUMNS = tuple(uploads.c[name] for name in Upload.model_fields)
_GETTING = sa.select(*UPLOAD_COLUMNS).where(
    uploads.c.id == sa.bindparam("upload_id")
)  # put together once, see `leases.py`
_DESCRIBING = sa.update(uploads).where(uploads.c.id == sa.bindparam("of_upload"))
_STEMS = 50
"""Names whose uploads are looked for at once."""
_CHUNK = 1000
"""Keys looked up at once, well below SQLite's limit of bound parameters."""


@dataclass(frozen=True)
class Registered:
    """The answer to a request to register an upload with its jobs."""

    upload: Upload
    """The known upload, with another id than the one asked for, if its origin was known."""
    jobs: tuple[Enqueued, ...]


@dataclass(frozen=True)
class DaySummary:
    """The uploads of one UTC day."""

    count: int
    bytes: int
    seconds: float
    """Media seconds of the uploads that have been probed."""


@dataclass(frozen=True)
class UploadFilter:
    """Selects uploads. Every condition that is given must hold."""

    name: str | None = None
    """Part of the file name, in any letter case."""
    role: UploadRole | None = None
    trace_id: str | None = None
    since: datetime | None = None
    """Registered at this moment or later."""
    until: datetime | None = None
    """Registered before this moment."""

    def conditions(self) -> Conditions:
        """The filter as conditions on the table `uploads`."""
        found: Conditions = []
        if self.name is not None:
            found.append(uploads.c.folded_name.contains(folded(self.name), autoescape=True))
        if self.role is not None:
            found.append(uploads.c.role == self.role)
        if self.trace_id is not None:
            found.append(uploads.c.trace_id == self.trace_id)
        if self.since is not None:
            found.append(uploads.c.created_at >= self.since)
        if self.until is not None:
            found.append(uploads.c.created_at < self.until)
        return found


class _Overtaken(Exception):  # no error: the jobs have to be planned again
    """Another process has registered some of the uploads since they were looked up."""

    def __init__(self, found: list[Upload]) -> None:
        super().__init__()
        self.found = found


UploadList = list[Upload]


class Uploads:
    """Reads and writes the uploads table."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add(self, upload: Upload) -> Upload:
        """Register an upload. If its origin is known, nothing is written and the known upload is returned."""
        with self._database.write() as connection:
            return add_upload(connection, upload)

    def register(
        self, new_uploads: Sequence[Upload], jobs_of: Callable[[Upload], Sequence[NewJob]]
    ) -> list[Registered]:
        """Register uploads as `add` does, and enqueue the jobs that `jobs_of` gives for each; all or none.

        The answers come in the order of `new_uploads`. Known uploads get their jobs too. `jobs_of` runs outside of the
        transaction, so it may be slow; it is called again if another process registers some of the uploads meanwhile.
        Register some hundreds at a time: other writers wait for the transaction.
        """
        with self._database.read() as connection:
            expected = _as_known(connection, new_uploads)
        while True:
            wanted = [list(jobs_of(upload)) for upload in expected]
            try:
                enqueued = self._register(new_uploads, expected, [job for each in wanted for job in each])
            except _Overtaken as overtaken:
                expected = overtaken.found
                continue
            rest = iter(enqueued)
            return [
                Registered(upload, tuple(islice(rest, len(each))))
                for upload, each in zip(expected, wanted, strict=True)
            ]

    def _register(
        self, new_uploads: Sequence[Upload], expected: list[Upload], new_jobs: Sequence[NewJob]
    ) -> list[Enqueued]:
        with self._database.write() as connection:
            found = insert_uploads(connection, new_uploads)
            if found != expected:
                raise _Overtaken(found)  # and nothing is written
            enqueued = insert_jobs(connection, new_jobs, now=utc_now())
        if enqueued:
            fold_in_turn(self._database, enqueued[0].job.id)
        return enqueued

    def get(self, upload_id: str) -> Upload:
        """The upload with this id. Raises NotFoundError."""
        with self._database.read() as connection:
            row = connection.execute(_GETTING, {"upload_id": upload_id}).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"There is no upload {upload_id}.")
        return upload_of(row)

    def remove(self, upload_id: str) -> None:
        """Forget an upload, and which outputs are the current ones of it. Jobs and attempts stay.

        Raises NotFoundError.
        """
        with self._database.write() as connection:
            if connection.execute(sa.delete(uploads).where(uploads.c.id == upload_id)).rowcount == 0:
                raise NotFoundError(f"There is no upload {upload_id}.")
            connection.execute(sa.delete(current_outputs).where(current_outputs.c.subject_id == upload_id))

    def find_by_origin(self, origin: str) -> Upload | None:
        """The upload that was registered from `origin`, if any."""
        return self._one(uploads.c.origin == origin)

    def known(self, origins: Sequence[str]) -> dict[str, Upload]:
        """Those uploads that were registered from one of `origins`, by origin."""
        with self._database.read() as connection:
            return {str(found.origin): found for found in _where_in(connection, uploads.c.origin, origins)}

    def existing(self, upload_ids: Sequence[str]) -> set[str]:
        """Those of `upload_ids` that belong to an upload."""
        with self._database.read() as connection:
            return {found.id for found in _where_in(connection, uploads.c.id, upload_ids)}

    def with_ids(self, upload_ids: Sequence[str]) -> dict[str, Upload]:
        """Those uploads that have one of `upload_ids`, by id."""
        with self._database.read() as connection:
            return {found.id: found for found in _where_in(connection, uploads.c.id, upload_ids)}

    def named(self, filenames: Sequence[str], *, limit: int) -> dict[str, list[Upload]]:
        """The uploads with one of `filenames`, by that name: the newest of each different content, newest first.

        At most `limit` of a name; names that no upload has are left out. An export, which has the name of its timeline,
        is found where no source has that name.
        """
        found: dict[str, list[Upload]] = {}
        with self._database.read() as connection:
            for role in (UploadRole.SOURCE, UploadRole.EXPORT):
                missing = [name for name in filenames if name not in found]
                ids = [
                    each
                    for start in range(0, len(missing), _CHUNK)
                    for each in _newest_of(connection, missing[start : start + _CHUNK], role, limit)
                ]
                for upload in sorted(_where_in(connection, uploads.c.id, ids), key=lambda each: each.id, reverse=True):
                    found.setdefault(upload.filename, []).append(upload)
        return found

    def with_stems(self, names: Sequence[str], *, limit: int) -> dict[str, list[Upload]]:
        """The uploads whose file name is one of `names` with or without its suffix, in whatever case.

        By the name that was asked for: the newest of each different content, newest first, at most `limit` of a name.
        An export is found where no source has that name.
        """
        found = self._with_stems(names, UploadRole.SOURCE, limit)
        return found | self._with_stems([name for name in names if name not in found], UploadRole.EXPORT, limit)

    def _with_stems(self, names: Sequence[str], role: UploadRole, limit: int) -> dict[str, list[Upload]]:
        found: dict[str, list[Upload]] = {}
        with self._database.read() as connection:
            for start in range(0, len(names), _STEMS):
                wanted: dict[str, list[str]] = {}
                for name in names[start : start + _STEMS]:
                    wanted.setdefault(folded(name), []).append(name)
                ids = _newest_like(connection, list(wanted), role)
                for upload in sorted(_where_in(connection, uploads.c.id, ids), key=lambda each: each.id, reverse=True):
                    filename = folded(upload.filename)
                    for name in (*wanted.get(filename, ()), *wanted.get(filename.rpartition(".")[0], ())):
                        if len(contents := found.setdefault(name, [])) < limit:
                            contents.append(upload)
        return found

    def _one(self, condition: sa.ColumnElement[bool]) -> Upload | None:
        with self._database.read() as connection:
            row = connection.execute(sa.select(*UPLOAD_COLUMNS).where(condition)).mappings().one_or_none()
        return None if row is None else upload_of(row)

    def set_media_info(self, upload_id: str, info: MediaInfo) -> None:
        """Store what probing found. Raises NotFoundError."""
        with self._database.write() as connection:
            if connection.execute(_DESCRIBING, {"of_upload": upload_id, **_info_columns(info)}).rowcount == 0:
                raise NotFoundError(f"There is no upload {upload_id}.")

    def set_etag(self, upload_id: str, etag: str) -> None:
        """Note that the content was stored again, under the same key."""
        with self._database.write() as connection:
            connection.execute(sa.update(uploads).where(uploads.c.id == upload_id).values(etag=etag))

    def of_day(self, day: date) -> Iterator[Upload]:
        """The uploads created on a UTC day, oldest first."""

        def fetch(last: Upload | None) -> list[Upload]:
            statement = (
                sa.select(*UPLOAD_COLUMNS)
                .where(*of_day(uploads, day))
                .order_by(uploads.c.created_at, uploads.c.id)
                .limit(_PAGE)
            )
            if last is not None:
                statement = statement.where(newer_than(uploads, last.created_at, last.id))
            with self._database.read() as connection:
                return [upload_of(row) for row in connection.execute(statement).mappings()]

        return pages(fetch)

    def day_summary(self, day: date) -> DaySummary:
        """How many uploads a UTC day brought, of how many bytes and media seconds."""
        sums = [sa.func.coalesce(sa.func.sum(upload_days.c[name]), 0) for name in ("uploads", "bytes", "media_ms")]
        with self._database.read() as connection:
            count, total, media_ms = connection.execute(sa.select(*sums).where(upload_days.c.day == day)).one()
        return DaySummary(count=int(count), bytes=int(total), seconds=int(media_ms) / 1000)

    def list(self, filter: UploadFilter, *, limit: int = 50, after: str | None = None) -> UploadList:
        """One page, the newest first; `after` is the last id of the page before.

        A name is looked for in all uploads that match the rest. Raises NotFoundError when the upload `after` is gone.
        """
        with self._database.read() as connection:
            conditions = filter.conditions() + starting_after(connection, uploads, after)
            found = newest_of(connection, uploads, UPLOAD_COLUMNS, [conditions], limit=limit)
            return [upload_of(row) for row in found]


def is_called(name: str) -> sa.ColumnElement[bool]:
    """Whether an upload's file name is `name`, with or without its suffix, in any letter case."""
    wanted, column = folded(name), uploads.c.folded_name
    # A range, which every database finds by an index; the slash is the character after the full stop.
    return sa.or_(column == wanted, sa.and_(column >= f"{wanted}.", column < f"{wanted}/"))


def add_upload(connection: sa.Connection, upload: Upload) -> Upload:
    """Insert an upload within a transaction, or get the one that has its origin or its id."""
    return insert_uploads(connection, [upload])[0]


def insert_uploads(connection: sa.Connection, new_uploads: Sequence[Upload]) -> list[Upload]:
    """Insert those uploads whose origin and id are new; the answers come in the order of the requests."""
    if not new_uploads:
        return []
    # All writers insert in the same order, so that two overlapping batches cannot deadlock.
    rows = [_row_of(upload) for upload in sorted(new_uploads, key=lambda upload: (upload.origin or "", upload.id))]
    insert_new(connection, uploads, rows)
    return _as_known(connection, new_uploads)


def _as_known(connection: sa.Connection, new_uploads: Sequence[Upload]) -> list[Upload]:
    """For each upload, the known one with its origin or its id; else the upload itself."""
    by_id = {found.id: found for found in _where_in(connection, uploads.c.id, [new.id for new in new_uploads])}
    # An inserted upload is found by its id. If its origin was known, it was not inserted: find it by its origin.
    elsewhere = [new.origin for new in new_uploads if new.origin and _other(by_id.get(new.id), new)]
    by_origin = {found.origin: found for found in _where_in(connection, uploads.c.origin, elsewhere)}
    return [(new.origin and by_origin.get(new.origin)) or by_id.get(new.id, new) for new in new_uploads]


def put_upload(connection: sa.Connection, upload: Upload) -> None:
    """Insert an upload, or update the one with its id to the object that was made now."""
    add_upload(connection, upload)
    made = {name: getattr(upload, name) for name in ("storage_key", "bytes", "etag", "details")}
    is_other = sa.or_(uploads.c.etag != upload.etag, uploads.c.storage_key != upload.storage_key)
    statement = sa.update(uploads).where(uploads.c.id == upload.id, is_other)
    connection.execute(statement.values(**made, **_info_columns(upload.media_info)))


def _other(found: Upload | None, asked: Upload) -> bool:
    return found is None or found.origin != asked.origin


def _where_in(connection: sa.Connection, column: sa.Column[Any], values: Sequence[str]) -> Iterator[Upload]:
    for start in range(0, len(values), _CHUNK):
        statement = sa.select(*UPLOAD_COLUMNS).where(column.in_(values[start : start + _CHUNK]))
        yield from (upload_of(row) for row in connection.execute(statement).mappings())


def _newest_of(connection: sa.Connection, filenames: Sequence[str], role: UploadRole, limit: int) -> Sequence[str]:
    """The newest id of each content of each name, at most `limit` of a name. Ids sort by time."""
    contents = (
        sa.select(uploads.c.filename, sa.func.max(uploads.c.id).label("id"))
        .where(uploads.c.filename.in_(filenames), uploads.c.role == role)
        .group_by(uploads.c.filename, uploads.c.etag)
        .subquery()
    )
    rank = sa.func.row_number().over(partition_by=contents.c.filename, order_by=contents.c.id.desc())
    ranked = sa.select(contents.c.id, rank.label("rank")).subquery()
    return connection.execute(sa.select(ranked.c.id).where(ranked.c.rank <= limit)).scalars().all()


def _newest_like(connection: sa.Connection, names: Sequence[str], role: UploadRole) -> Sequence[str]:
    """The newest id of each content of each file that may have one of `names`, with or without a suffix."""
    fits = sa.or_(*map(is_called, names))
    statement = sa.select(sa.func.max(uploads.c.id)).where(uploads.c.role == role, fits)
    return connection.execute(statement.group_by(uploads.c.filename, uploads.c.etag).limit(_PAGE)).scalars().all()


def _row_of(upload: Upload) -> dict[str, Any]:
    return upload.model_dump() | {"folded_name": folded(upload.filename)} | _info_columns(upload.media_info)


def _info_columns(info: MediaInfo | None) -> dict[str, Any]:
    if info is None:
        return {"media_info": None, "media_ms": None}
    return {"media_info": info.to_json(), "media_ms": round(info.duration_seconds * 1000)}


def upload_of(row: sa.RowMapping) -> Upload:
    """The upload in a row that holds all of UPLOAD_COLUMNS."""
    return Upload.model_validate(dict(row))
