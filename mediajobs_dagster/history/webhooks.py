"""The outbox of webhooks: what is told to callback addresses, and what came of it.

    written ──► due ──► claimed by one sender ──► delivered
                 ▲              │
                 └── a pause ◄──┴──► failed: its tries are used up

Of one job and callback, one delivery is sent after the other: an event never overtakes the one before. How far a job is
(`job.progress`) keeps nothing waiting before it is sent: it is dropped when something later is told of the job. That a
trace is finished is told after all that the callback was told before.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.errors import NotFoundError
from mediajobs_dagster.history.clock import db_now, db_time_in
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.outboxes import Outbox, claim_first, in_seconds, now_of
from mediajobs_dagster.history.paging import newest_first, starting_after
from mediajobs_dagster.history.schema import webhook_deliveries, webhook_subscriptions
from mediajobs_dagster.models import DeliveryStatus, DeliveryTry, WebhookDelivery, WebhookEvent

_KEPT_TRIES = 20
_ROW = webhook_deliveries.c
_COLUMNS = tuple(_ROW[name] for name in WebhookDelivery.model_fields)
_earlier = webhook_deliveries.alias("earlier")


@dataclass(frozen=True)
class DeliveryFilter:
    """Which deliveries; all conditions that are given have to hold."""

    statuses: tuple[DeliveryStatus, ...] = ()
    events: tuple[WebhookEvent, ...] = ()
    trace_id: str | None = None
    job_id: str | None = None
    since: datetime | None = None


DeliveryList = list[WebhookDelivery]


class Webhooks:
    """Reads and changes deliveries. `now` is given by tests; by default it is the database's time."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def list(self, filter: DeliveryFilter, *, limit: int = 50, after: str | None = None) -> DeliveryList:
        """One page, the newest first. `after` is the last id of the page before; NotFoundError if it is gone."""
        conditions = [
            *([_ROW.status.in_(filter.statuses)] if filter.statuses else ()),
            *([_ROW.event.in_(filter.events)] if filter.events else ()),
            *([_ROW.trace_id == filter.trace_id] if filter.trace_id else ()),
            *([_ROW.job_id == filter.job_id] if filter.job_id else ()),
            *([_ROW.created_at >= filter.since] if filter.since else ()),
        ]
        with self._database.read() as connection:
            behind = starting_after(connection, webhook_deliveries, after)
            wanted = sa.select(*_COLUMNS).where(*conditions, *behind)
            rows = connection.execute(newest_first(webhook_deliveries, wanted, limit=limit)).mappings()
            return [_delivery_of(row) for row in rows]

    def get(self, delivery_id: str) -> WebhookDelivery:
        """The delivery with this id. Raises NotFoundError."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(*_COLUMNS).where(_ROW.id == delivery_id)).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"There is no delivery {delivery_id}. `mediajobs webhooks list` lists them.")
        return _delivery_of(row)

    def send_again(self, delivery_id: str) -> WebhookDelivery:
        """Have a delivery sent anew, with all of its tries; its id stays. Raises NotFoundError."""
        change = {"status": DeliveryStatus.PENDING, "due_at": db_now(), "tries": 0, "delivered_at": None}
        statement = sa.update(webhook_deliveries).where(_ROW.id == delivery_id).values(**change).returning(*_COLUMNS)
        with self._database.write() as connection:
            row = connection.execute(statement).mappings().one_or_none()
        if row is None:
            raise NotFoundError(f"There is no delivery {delivery_id}. `mediajobs webhooks list` lists them.")
        return _delivery_of(row)

    def outbox(self) -> Outbox:
        """What is not delivered yet."""
        statement = sa.select(sa.func.count(), sa.func.min(_ROW.created_at)).where(_PENDING)
        with self._database.read() as connection:
            return Outbox(*connection.execute(statement).one())

    # --- for senders -------------------------------------------------------------------------------------------------

    def is_due(self, *, besides: Collection[str] = (), now: datetime | None = None) -> bool:
        """Whether a delivery can be claimed, in the same words."""
        with self._database.read() as connection:
            return connection.scalar(sa.select(_ROW.id).where(*_due(besides, now)).limit(1)) is not None

    def claim(
        self, *, hold_s: float, besides: Collection[str] = (), now: datetime | None = None
    ) -> WebhookDelivery | None:
        """Take the delivery that has been due the longest, and waits for no earlier one; None: there is none.

        Those for the origins `besides` (scheme, host and port) are left. A sender that dies loses it after `hold_s`.
        How far a job was is removed on the way, where something later is told of it.
        """
        while (delivery := self._claim_any(hold_s, besides, now)) and self._drop_overtaken(delivery):
            pass
        return delivery

    def _claim_any(self, hold_s: float, besides: Collection[str], now: datetime | None) -> WebhookDelivery | None:
        with self._database.write() as connection:
            until = in_seconds(now or now_of(connection), hold_s)
            row = claim_first(connection, webhook_deliveries, _due(besides, now), _COLUMNS, until=until)
            return _delivery_of(row) if row else None

    def _drop_overtaken(self, delivery: WebhookDelivery) -> bool:
        """Whether it was progress of which something later is told; then it is removed.

        Asked when everybody can see the claim: who does not see it yet may take what is later, and that is seen here.
        """
        if delivery.event is not WebhookEvent.JOB_PROGRESS:
            return False
        with self._database.write() as connection:
            if is_overtaken := _is_overtaken(connection, delivery):
                connection.execute(sa.delete(webhook_deliveries).where(_ROW.id == delivery.id))
            return is_overtaken

    def delivered(self, delivery: WebhookDelivery, tried: DeliveryTry) -> None:
        """It has arrived."""
        self._tried(delivery, tried, {"status": DeliveryStatus.DELIVERED, "delivered_at": db_now()})

    def not_delivered(self, delivery: WebhookDelivery, tried: DeliveryTry, *, again_in_s: float | None) -> None:
        """It has not; it is due again in so many seconds, or failed for good (None).

        How far a job is counts for the moment alone: that goes.
        """
        if delivery.event is WebhookEvent.JOB_PROGRESS:
            with self._database.write() as connection:
                connection.execute(sa.delete(webhook_deliveries).where(_ROW.id == delivery.id))
        elif again_in_s is None:
            self._tried(delivery, tried, {"status": DeliveryStatus.FAILED})
        else:
            self._tried(delivery, tried, {"due_at": db_time_in(again_in_s)})

    def let_go(self, delivery: WebhookDelivery) -> None:
        """Give a delivery back that was claimed and not tried: another sender takes it."""
        with self._database.write() as connection:
            given_back = {"due_at": db_now(), "tries": _ROW.tries - 1}
            connection.execute(sa.update(webhook_deliveries).where(*_is_claimed(delivery)).values(**given_back))

    def unsubscribe(self, delivery: WebhookDelivery, tried: DeliveryTry) -> None:
        """The receiver wants no more of this callback: nothing more is written for it, and what waits has failed."""
        callback = webhook_subscriptions.c.id == delivery.subscription_id
        with self._database.write() as connection:
            connection.execute(sa.update(webhook_subscriptions).where(callback).values(ended_at=db_now()))
            _write_try(connection, delivery, tried, {"status": DeliveryStatus.FAILED})
            waiting = sa.update(webhook_deliveries).where(_ROW.subscription_id == delivery.subscription_id, _PENDING)
            connection.execute(waiting.values(status=DeliveryStatus.FAILED))

    def _tried(self, delivery: WebhookDelivery, tried: DeliveryTry, change: dict[str, Any]) -> None:
        with self._database.write() as connection:
            _write_try(connection, delivery, tried, change)
            # What waits for it becomes due with it: senders need not look at it before.
            of = {"of_subscription": delivery.subscription_id, "of_job": delivery.job_id or ""}
            connection.execute(_FOLLOWING.values(due_at=change.get("due_at", db_now())), of)


def _write_try(
    connection: sa.Connection, delivery: WebhookDelivery, tried: DeliveryTry, change: dict[str, Any]
) -> None:
    tries = [each.to_json() for each in (*delivery.tried, tried)][-_KEPT_TRIES:]
    statement = sa.update(webhook_deliveries).where(*_is_claimed(delivery))
    connection.execute(statement.values(tried=tries, **change))


def _is_claimed(delivery: WebhookDelivery) -> tuple[sa.ColumnElement[bool], ...]:
    # Not if it was asked for again meanwhile, or if another sender has taken it: what that one says counts.
    return _ROW.id == delivery.id, _ROW.tries == delivery.tries, _PENDING


def _is_overtaken(connection: sa.Connection, delivery: WebhookDelivery) -> bool:
    number = sa.select(_ROW.number).where(_ROW.id == delivery.id).scalar_subquery()
    later = sa.select(_ROW.id).where(
        _ROW.job_id == delivery.job_id,
        _ROW.subscription_id == delivery.subscription_id,
        _ROW.number > number,
        _ROW.event != WebhookEvent.JOB_PROGRESS,
    )
    return connection.scalar(later.limit(1)) is not None


def _due(besides: Collection[str], now: datetime | None) -> list[sa.ColumnElement[bool]]:
    moment = sa.literal(now, _ROW.due_at.type) if now else db_now()
    is_for_others = [_ROW.origin.not_in(besides)] if besides else []
    return [_PENDING, _ROW.due_at <= moment, *is_for_others, ~_has_earlier(moment)]


# As Booleans, SQLite would be asked whether they are 1, and find no index for that.
_PENDING: sa.ColumnElement[bool] = sa.literal_column("webhook_deliveries.status = 'pending'")
"""Literal text, as in the partial indexes: see `schema.py`."""
_IS_EARLIER_PENDING: sa.ColumnElement[bool] = sa.literal_column("earlier.status = 'pending'")
_is_before = sa.and_(
    _IS_EARLIER_PENDING,
    _earlier.c.subscription_id == _ROW.subscription_id,
    _earlier.c.number < _ROW.number,
)


def _has_earlier(moment: sa.ColumnElement[datetime]) -> sa.ColumnElement[bool]:
    is_being_sent = sa.and_(_earlier.c.tries > 0, _earlier.c.due_at > moment)
    keeps_waiting = sa.or_(_earlier.c.event != WebhookEvent.JOB_PROGRESS.value, is_being_sent)
    return sa.or_(
        sa.exists().where(_is_before, _earlier.c.job_id == _ROW.job_id, keeps_waiting),
        # That a trace is finished, which is about no job, waits for everything.
        sa.and_(_ROW.job_id == "", sa.exists().where(_is_before)),
    )


_FOLLOWING = sa.update(webhook_deliveries).where(
    _PENDING,
    _ROW.subscription_id == sa.bindparam("of_subscription"),
    _ROW.job_id == sa.bindparam("of_job"),
    _ROW.tries == 0,
)


def _delivery_of(row: sa.RowMapping) -> WebhookDelivery:
    found = {name: row[name] for name in WebhookDelivery.model_fields}
    return WebhookDelivery.model_validate({**found, "job_id": found["job_id"] or None, "tried": found["tried"] or ()})
