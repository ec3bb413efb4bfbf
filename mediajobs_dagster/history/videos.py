"""The videos that were found, which events they are of, and how well they would fit others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.history.database import Database, insert_new
from mediajobs_dagster.history.paging import Conditions, newer_than, newest_first, of_day, pages, starting_after
from mediajobs_dagster.history.schema import jobs, video_matches, video_searches, videos
from mediajobs_dagster.models import FoundVideo, LinkedBy, Video, VideoMatch, new_id

_CHUNK = 500
"""Rows written in one transaction: other writers wait for it."""
VIDEO_COLUMNS = tuple(videos.c[name] for name in Video.model_fields)
_MATCH_COLUMNS = tuple(video_matches.c[name] for name in VideoMatch.model_fields)
_TOLD = ("address", "title", "channel_id", "channel", "published_at", "duration_seconds")
"""What may change of a video. How it was found stays: that is how it was found first."""


@dataclass(frozen=True)
class VideoChanges:
    """What came of videos that were stored: their ids at the site. Those that are in neither were there like that."""

    new: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()

    def __add__(self, other: VideoChanges) -> VideoChanges:
        """Both together."""
        return VideoChanges(self.new + other.new, self.updated + other.updated)


@dataclass(frozen=True)
class VideoFilter:
    """Selects videos. Every condition that is given must hold."""

    title: str | None = None
    """Part of the title, in any letter case."""
    channel: str | None = None
    """The id of the channel, or its name."""
    event_id: str | None = None
    linked: bool | None = None
    """Whether it is linked to an event."""
    since: datetime | None = None
    """Found at this moment or later."""
    with_removed: bool = False

    def conditions(self) -> Conditions:
        """The filter as conditions on the table `videos`."""
        columns, found = videos.c, Conditions()
        if self.title is not None:
            found.append(columns.title.icontains(self.title, autoescape=True))
        if self.channel is not None:
            found.append(sa.or_(columns.channel_id == self.channel, columns.channel == self.channel))
        if self.event_id is not None:
            found.append(columns.event_id == self.event_id)
        if self.linked is not None:
            found.append(columns.event_id.is_not(None) if self.linked else columns.event_id.is_(None))
        if self.since is not None:
            found.append(columns.created_at >= self.since)
        if not self.with_removed:
            found.append(columns.removed_at.is_(None))
        return found


VideoList = list[Video]


class Videos:
    """Reads and writes the tables videos and video_matches."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    # --- reading -----------------------------------------------------------------------------------------------------

    def get(self, video_id: str) -> Video:
        """The video with this id. Raises NotFoundError."""
        with self._database.read() as connection:
            row = connection.execute(_select(videos.c.id == video_id)).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"There is no video {video_id}.")
        return video_of(row)

    def list(self, filter: VideoFilter, *, limit: int = 50, after: str | None = None) -> VideoList:
        """One page, the newest found first; `after` is the last id of the page before. Raises NotFoundError."""
        with self._database.read() as connection:
            conditions = [*filter.conditions(), *starting_after(connection, videos, after)]
            statement = newest_first(videos, _select(*conditions), limit=limit)
            return [video_of(row) for row in connection.execute(statement).mappings()]

    def known(self, site: str, external_ids: Iterable[str]) -> dict[str, Video]:
        """The videos of a site that are known, by their ids there."""
        found: dict[str, Video] = {}
        with self._database.read() as connection:
            for chunk in _chunks(sorted(set(external_ids))):
                is_one = (videos.c.site == site, videos.c.external_id.in_(chunk))
                found |= {row["external_id"]: video_of(row) for row in connection.execute(_select(*is_one)).mappings()}
        return found

    def undecided(self, *, since: datetime, limit: int) -> VideoList:
        """Videos that nobody has decided on, published at `since` or later, the newest first.

        Where it is not known when one was published, the moment counts at which it was found.
        """
        columns = videos.c
        is_open = (columns.event_id.is_(None), columns.linked_by.is_(None), columns.removed_at.is_(None))
        of_time = (
            (columns.published_at, columns.published_at >= since),
            (columns.created_at, sa.and_(columns.published_at.is_(None), columns.created_at >= since)),
        )
        found: list[Video] = []
        with self._database.read() as connection:
            for order, condition in of_time:
                statement = _select(condition, *is_open).order_by(order.desc(), columns.id.desc()).limit(limit)
                found += map(video_of, connection.execute(statement).mappings())
        return sorted(found, key=lambda video: (video.published_at or video.created_at, video.id), reverse=True)[:limit]

    def unchecked(self, site: str, *, since: datetime, before: datetime, limit: int) -> VideoList:
        """Videos of a site, published at `since` or later, that were last checked before a moment, the newest first."""
        columns = videos.c
        conditions = (
            *(columns.site == site, columns.published_at >= since),
            *(columns.removed_at.is_(None), columns.checked_at < before),
        )
        statement = _select(*conditions).order_by(columns.published_at.desc(), columns.id.desc()).limit(limit)
        with self._database.read() as connection:
            return list(map(video_of, connection.execute(statement).mappings()))

    def matches(self, *, video_id: str | None = None, event_id: str | None = None, limit: int = 20) -> list[VideoMatch]:
        """The matches of a video, or of an event, the best first."""
        columns = video_matches.c
        wanted = [
            column == value for column, value in ((columns.video_id, video_id), (columns.event_id, event_id)) if value
        ]
        order = (columns.score.desc(), columns.video_id.desc(), columns.event_id.desc())
        statement = sa.select(*_MATCH_COLUMNS).where(*wanted).order_by(*order).limit(limit)
        with self._database.read() as connection:
            rows = connection.execute(statement).mappings()
            return [VideoMatch.model_validate(dict(row) | {"reasons": row["reasons"] or ()}) for row in rows]

    def searches(self, event_ids: Sequence[str]) -> dict[str, tuple[int, datetime]]:
        """How often videos of these events were searched for, and when last; events without a search are left out."""
        columns, found = video_searches.c, dict[str, tuple[int, datetime]]()
        with self._database.read() as connection:
            for chunk in _chunks(sorted(event_ids)):
                rows = connection.execute(sa.select(video_searches).where(columns.event_id.in_(chunk)))
                found |= {row.event_id: (row.searches, row.searched_at) for row in rows}
        return found

    def of_day(self, day: date) -> Iterator[Video]:
        """The videos found on a UTC day that somebody has asked to be fetched, oldest first.

        What discovery found is not fetched by that alone.
        """
        is_asked_for = sa.exists().where(jobs.c.subject_id == videos.c.id)

        def fetch(last: Video | None) -> list[Video]:
            statement = _select(*of_day(videos, day), is_asked_for).order_by(videos.c.created_at, videos.c.id)
            if last is not None:
                statement = statement.where(newer_than(videos, last.created_at, last.id))
            with self._database.read() as connection:
                return [video_of(row) for row in connection.execute(statement.limit(_CHUNK)).mappings()]

        return pages(fetch)

    # --- writing -----------------------------------------------------------------------------------------------------

    def store(
        self, found: Iterable[FoundVideo], *, trace_id: str | None, now: datetime, with_details: bool = False
    ) -> VideoChanges:
        """Store what was found. One that is there already gets what is told now; who linked it stays.

        Of several with the same id, the last one counts. One that was removed is there again. `with_details` if the
        details of each were asked for.
        """
        checked_at = now if with_details else None
        by_id = {(each.site, each.external_id): each for each in found}
        changes = VideoChanges()
        for chunk in _chunks(sorted(by_id)):  # in the same order everywhere: two writers cannot deadlock
            with self._database.write() as connection:
                changes += _store(connection, [by_id[key] for key in chunk], trace_id, now, checked_at)
        return changes

    def note_removed(self, ids: Sequence[str], *, now: datetime) -> int:
        """Note that the site does not have these videos any more; returns how many were there before.

        What matching linked is free again, so that the event can get another video. What a person linked stays.
        """
        columns = videos.c
        is_matched = columns.linked_by == LinkedBy.MATCHING
        values = {
            "removed_at": now,
            "updated_at": now,
            "event_id": sa.case((is_matched, None), else_=columns.event_id),
            "linked_by": sa.case((is_matched, None), else_=columns.linked_by),
            "linked_at": sa.case((is_matched, None), else_=columns.linked_at),
        }
        removed = 0
        for chunk in _chunks(sorted(ids)):
            statement = sa.update(videos).where(columns.id.in_(chunk), columns.removed_at.is_(None)).values(values)
            with self._database.write() as connection:
                removed += connection.execute(statement).rowcount
        return removed

    def note_search(self, event_id: str, *, now: datetime) -> None:
        """Note that videos of an event were searched for."""
        with self._database.write() as connection:
            dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
            insert = dialect.insert(video_searches).values(event_id=event_id, searches=1, searched_at=now)
            again = {"searches": video_searches.c.searches + 1, "searched_at": now}
            connection.execute(insert.on_conflict_do_update(index_elements=["event_id"], set_=again))

    def keep_matches(self, matches: Iterable[VideoMatch]) -> None:
        """Keep how well videos fit events, in the place of what was kept of the same pairs."""
        by_pair = {(each.video_id, each.event_id): each for each in matches}
        for chunk in _chunks(sorted(by_pair)):
            rows = [_match_row(by_pair[pair]) for pair in chunk]
            with self._database.write() as connection:
                dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
                insert = dialect.insert(video_matches)
                news = {name: insert.excluded[name] for name in ("score", "reasons", "scored_at")}
                keys = list(video_matches.primary_key)
                connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=news), rows)

    def link_match(self, video_id: str, event_id: str, *, now: datetime) -> bool:
        """Link a video to the event that it matches; False if either has been decided on by now."""
        other = videos.alias("other")
        has_video = sa.exists().where(other.c.event_id == event_id)
        columns = videos.c
        is_open = (columns.event_id.is_(None), columns.linked_by.is_(None), columns.removed_at.is_(None), ~has_video)
        linked = {"event_id": event_id, "linked_by": LinkedBy.MATCHING, "linked_at": now}
        statement = sa.update(videos).where(columns.id == video_id, *is_open).values(linked)
        with self._database.write() as connection:
            if not self._database.is_sqlite:
                # On PostgreSQL a statement does not see what another is about to link, so those of an event take turns.
                turn = sa.func.pg_advisory_xact_lock(_LINK_LOCK, sa.func.hashtext(event_id))
                connection.execute(sa.select(turn))
            return connection.execute(statement).rowcount == 1

    def decide(self, video_id: str, event_id: str | None, *, now: datetime) -> Video:
        """Link a video to an event, or to none, by the word of a person. Raises NotFoundError."""
        decided = {"event_id": event_id, "linked_by": LinkedBy.PERSON, "linked_at": now}
        with self._database.write() as connection:
            connection.execute(sa.update(videos).where(videos.c.id == video_id).values(decided))
        return self.get(video_id)


_LINK_LOCK = 0x6D6A766C  # "mjvl" in ASCII; only has to differ from other programs' locks


def _store(
    connection: sa.Connection,
    found: Sequence[FoundVideo],
    trace_id: str | None,
    now: datetime,
    checked_at: datetime | None,
) -> VideoChanges:
    new = [each.model_dump() | {"id": new_id()} for each in found]
    insert_new(connection, videos, new, also=_at(now, trace_id, checked_at))
    own = {row["id"] for row in new}
    keys = sa.tuple_(videos.c.site, videos.c.external_id)
    there = _select(keys.in_([(each.site, each.external_id) for each in found])).order_by(videos.c.id)
    rows = connection.execute(there.with_for_update()).mappings()
    known = {(each.site, each.external_id): each for each in map(video_of, rows) if each.id not in own}
    updated: list[str] = []
    for each in found:
        before = known.get((each.site, each.external_id))
        if before is None:
            continue
        told = {name: value for name in _TOLD if (value := getattr(each, name)) is not None}
        is_changed = before.removed_at is not None or any(getattr(before, name) != told[name] for name in told)
        updated += [each.external_id] if is_changed else []
        values = {**told, "removed_at": None, "updated_at": now} if is_changed else {}
        values |= {"checked_at": checked_at} if checked_at else {}
        if values:
            connection.execute(sa.update(videos).where(videos.c.id == before.id).values(values))
    added = (each.external_id for each in found if (each.site, each.external_id) not in known)
    return VideoChanges(tuple(added), tuple(updated))


def _at(now: datetime, trace_id: str | None, checked_at: datetime | None) -> dict[str, Any]:
    return {"created_at": now, "updated_at": now, "trace_id": trace_id, "checked_at": checked_at}


def _match_row(match: VideoMatch) -> dict[str, Any]:
    return match.model_dump() | {"reasons": [reason.to_json() for reason in match.reasons]}


def _chunks(keys: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (keys[start : start + _CHUNK] for start in range(0, len(keys), _CHUNK))


def _select(*conditions: Any) -> sa.Select[Any]:
    return sa.select(*VIDEO_COLUMNS).where(*conditions)


def video_of(row: sa.RowMapping) -> Video:
    """The video in a row that holds all of VIDEO_COLUMNS."""
    return Video.model_validate(dict(row))
