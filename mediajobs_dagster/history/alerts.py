"""The outbox of alerts: whoever sees something writes it here, and a sender takes it from here.

A row is one message. What happens again for the same cause counts in the row that waits, so a storm is one message. A
row begins at once if the cause has been quiet for an hour; otherwise it is due an hour after the message before.

    written ──► due ──► claimed by one sender ──► sent
                 ▲              │
                 └── a pause ◄──┘ a target did not take it
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from mediajobs_dagster.history.clock import db_now, db_time_in
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.outboxes import Outbox, claim_first, in_seconds, now_of
from mediajobs_dagster.history.schema import alerts
from mediajobs_dagster.models import Alert, AlertKind, JsonObject, new_id

GATHERING = timedelta(seconds=15)
"""How long the first message of a cause waits for more of the same."""
QUIET = timedelta(hours=1)
"""The shortest time between two messages of a cause."""
KEPT = timedelta(days=3)
"""How long it is tried to send an alert. Older ones are news no more."""

_LISTED = 10
"""How many values a list in the details keeps."""
_LOCK = 4211
"""A number of our own among PostgreSQL's advisory locks."""
_COLUMNS = tuple(alerts.c[name] for name in Alert.model_fields)


class Alerts:
    """Reads and writes the alerts table. `now` is given by tests; by default it is the database's time."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def add(
        self,
        kind: AlertKind,
        cause: str,
        title: str,
        body: str,
        details: JsonObject | None = None,
        *,
        occurrence: str | None = None,
        now: datetime | None = None,
    ) -> bool:
        """Write an alert, or count it in the one of the same cause that waits.

        `occurrence` tells one occurrence from the next: one that was the latest of its cause already is not counted
        again, and False is returned. Title, body and details are those of the latest; lists in the details grow, up to
        ten values. They must hold no secret.
        """
        if occurrence is not None and self.latest_occurrence(cause) == occurrence:
            return False  # without a write: several processes see the same, some of them every few seconds
        with self._database.write() as connection:
            if not self._database.is_sqlite:  # where whoever writes is alone
                lock = sa.func.pg_advisory_xact_lock(_LOCK, sa.func.hashtext(cause))
                connection.execute(sa.select(lock))
            now = now or now_of(connection)
            latest = _latest(connection, cause)
            if latest and occurrence is not None and latest["occurrence"] == occurrence:
                return False
            told = {"occurrence": occurrence, "title": title, "body": body, "last_at": now}
            if latest and latest["sent_at"] is None and latest["first_at"] > now - KEPT:
                merged = _merged(latest["details"] or {}, details or {})
                change = sa.update(alerts).where(alerts.c.id == latest["id"])
                connection.execute(change.values(**told, count=alerts.c.count + 1, details=merged))
            else:
                row = {**told, "kind": kind, "cause": cause, "details": details or {}, "count": 1, "first_at": now}
                connection.execute(_new(row, due_at=_due_after(latest, now)))
        return True

    def list(
        self,
        *,
        kinds: Sequence[AlertKind] = (),
        since: datetime | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> list[Alert]:
        """Alerts, newest first. `after` is the last id of the page before."""
        statement = sa.select(*_COLUMNS).order_by(alerts.c.first_at.desc(), alerts.c.id.desc()).limit(limit)
        if kinds:
            statement = statement.where(alerts.c.kind.in_(kinds))
        if since:
            statement = statement.where(alerts.c.last_at >= since)
        if after:
            at = sa.select(alerts.c.first_at).where(alerts.c.id == after).scalar_subquery()
            statement = statement.where(sa.tuple_(alerts.c.first_at, alerts.c.id) < sa.tuple_(at, sa.literal(after)))
        with self._database.read() as connection:
            return [_alert_of(row) for row in connection.execute(statement).mappings()]

    def latest_occurrence(self, cause: str) -> str | None:
        """The latest occurrence of a cause that was told apart from others; None: there is none."""
        with self._database.read() as connection:
            latest = _latest(connection, cause)
        return latest["occurrence"] if latest else None

    def is_due(self, now: datetime | None = None) -> bool:
        """Whether an alert waits to be sent. One look into an index."""
        with self._database.read() as connection:
            statement = sa.select(alerts.c.id).where(*_due(now)).limit(1)
            return connection.scalar(statement) is not None

    def outbox(self) -> Outbox:
        """The alerts that are due or were tried, and are not sent."""
        is_under_way = sa.or_(alerts.c.due_at <= db_now(), alerts.c.tries > 0)
        unsent = (alerts.c.sent_at.is_(None), alerts.c.first_at > db_time_in(-KEPT.total_seconds()), is_under_way)
        statement = sa.select(sa.func.count(), sa.func.min(alerts.c.first_at)).where(*unsent)
        with self._database.read() as connection:
            return Outbox(*connection.execute(statement).one())

    def claim(self, *, hold_s: float, now: datetime | None = None) -> Alert | None:
        """Take the alert that has been due the longest; None: none is. One statement, so no two senders get the same.

        A sender that dies before it says what came of it loses the alert after `hold_s` seconds.
        """
        with self._database.write() as connection:
            now = now or now_of(connection)
            row = claim_first(connection, alerts, _due(now), _COLUMNS, until=in_seconds(now, hold_s))
            return _alert_of(row) if row else None

    def sent(self, alert: Alert, *, now: datetime | None = None) -> None:
        """Every target has the alert. What has been counted since it was claimed is told by a message an hour later."""
        with self._database.write() as connection:
            now = now or now_of(connection)
            current = sa.select(alerts).where(alerts.c.id == alert.id, alerts.c.sent_at.is_(None)).with_for_update()
            row = connection.execute(current).mappings().one_or_none()
            if row is None:  # another sender was faster, or it was removed
                return
            change = sa.update(alerts).where(alerts.c.id == alert.id)
            connection.execute(change.values(sent_at=now, count=alert.count, error=None, reached=None))
            if row["count"] > alert.count:
                rest = {**row, "count": row["count"] - alert.count, "first_at": now}
                connection.execute(_new(rest, due_at=now + QUIET))

    def not_sent(self, alert: Alert, reason: str, *, again_in_s: float, now: datetime | None = None) -> None:
        """A target did not take the alert; it is due again in so many seconds. `alert.reached` is kept."""
        with self._database.write() as connection:
            now = now or now_of(connection)
            change = sa.update(alerts).where(alerts.c.id == alert.id, alerts.c.sent_at.is_(None))
            due_at = now + timedelta(seconds=again_in_s)
            connection.execute(change.values(due_at=due_at, error=reason, reached=list(alert.reached)))


def _latest(connection: sa.Connection, cause: str) -> sa.RowMapping | None:
    newest = sa.select(alerts).where(alerts.c.cause == cause).order_by(alerts.c.first_at.desc(), alerts.c.id.desc())
    return connection.execute(newest.limit(1)).mappings().one_or_none()


def _due_after(latest: sa.RowMapping | None, now: datetime) -> datetime:
    """When a new message of a cause is due, after the latest one."""
    is_soon = latest is not None and latest["sent_at"] is not None and latest["sent_at"] + QUIET > now + GATHERING
    return latest["sent_at"] + QUIET if latest is not None and is_soon else now + GATHERING


def _new(row: JsonObject, *, due_at: datetime) -> sa.Insert:
    anew = {"id": new_id(), "due_at": due_at, "tries": 0, "sent_at": None, "error": None, "reached": None}
    return sa.insert(alerts).values({**row, **anew})


def _merged(before: JsonObject, latest: JsonObject) -> JsonObject:
    """The latest details; of lists, what both have, the earliest first."""
    both = [name for name, each in latest.items() if isinstance(each, list) and isinstance(before.get(name), list)]
    return latest | {name: list(dict.fromkeys([*before[name], *latest[name]]))[:_LISTED] for name in both}


def _due(now: datetime | None) -> tuple[sa.ColumnElement[bool], ...]:
    moment = sa.literal(now, alerts.c.due_at.type) if now else db_now()
    latest = sa.literal(now - KEPT, alerts.c.first_at.type) if now else db_time_in(-KEPT.total_seconds())
    return (alerts.c.sent_at.is_(None), alerts.c.due_at <= moment, alerts.c.first_at > latest)


def _alert_of(row: sa.RowMapping) -> Alert:
    found = {name: row[name] for name in Alert.model_fields}
    return Alert.model_validate({**found, "details": found["details"] or {}, "reached": found["reached"] or ()})
