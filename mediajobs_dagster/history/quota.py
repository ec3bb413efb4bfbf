"""What was used up of the quotas of outside services: one row a bucket and period.

Every change is one statement, so processes that charge at the same time never go past the limit together. A period is
named by the moment at which it ends, so a clock that is set back finds the row that it charged before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.schema import quota_ledger


@dataclass(frozen=True)
class Period:
    """The time of a bucket from one reset to the next."""

    bucket: str
    """Its name, such as youtube.search."""
    limit: int
    """The most units that may be used in it."""
    resets_at: datetime
    """When it ends."""


@dataclass(frozen=True)
class Used:
    """What was used in one period."""

    units: int = 0
    calls: int = 0
    first_at: datetime | None = None
    """When the first call of the period was charged; None: there was none."""
    exhausted_at: datetime | None = None
    """Since when the service itself says that nothing is left; None: it does not."""


class QuotaLedger:
    """Reads and writes the quota_ledger table."""

    def __init__(self, database: Database) -> None:
        """Work on an open database."""
        self._database = database

    def charge(self, period: Period, units: int, *, now: datetime) -> bool:
        """Use up `units` for a call that is about to be made; False, and nothing is changed, if they are not left."""
        if units > period.limit:
            return False
        table = quota_ledger.c
        with self._database.write() as connection:
            insert = _inserting(connection, period, now, units=units, calls=1)
            added = insert.on_conflict_do_update(
                index_elements=list(quota_ledger.primary_key),
                set_={
                    "units_used": table.units_used + insert.excluded.units_used,
                    "units_limit": insert.excluded.units_limit,
                    "calls": table.calls + 1,
                    "updated_at": insert.excluded.updated_at,
                },
                where=sa.and_(
                    table.exhausted_at.is_(None),
                    table.units_used + insert.excluded.units_used <= insert.excluded.units_limit,
                ),
            )
            return connection.execute(added.returning(table.units_used)).one_or_none() is not None

    def correct(self, period: Period, units: int, *, calls: int = 0, now: datetime) -> None:
        """Add what a call took beyond its charge, or with negative figures give back what it did not take.

        What is used stays between nothing and the limit: a call that took more than is left leaves nothing.
        """
        table = quota_ledger.c
        statement = (
            sa.update(quota_ledger)
            .where(table.bucket == period.bucket, table.resets_at == period.resets_at)
            .values(
                units_used=_between(table.units_used + units, table.units_limit),
                calls=sa.case((table.calls + calls < 0, 0), else_=table.calls + calls),
                updated_at=now,
            )
        )
        with self._database.write() as connection:
            connection.execute(statement)

    def exhaust(self, period: Period, *, now: datetime) -> None:
        """Note that the service says that nothing is left, whatever was counted here. It holds until the reset."""
        with self._database.write() as connection:
            insert = _inserting(connection, period, now, units=0, calls=0, exhausted_at=now)
            connection.execute(
                insert.on_conflict_do_update(
                    index_elements=list(quota_ledger.primary_key),
                    set_={
                        "exhausted_at": sa.func.coalesce(quota_ledger.c.exhausted_at, insert.excluded.exhausted_at),
                        "updated_at": insert.excluded.updated_at,
                    },
                )
            )

    def used(self, periods: Sequence[Period]) -> list[Used]:
        """What was used in each of these periods, in their order."""
        table = quota_ledger.c
        wanted = [(period.bucket, period.resets_at) for period in periods]
        is_wanted = sa.or_(*(sa.and_(table.bucket == name, table.resets_at == moment) for name, moment in wanted))
        with self._database.read() as connection:
            rows = connection.execute(sa.select(quota_ledger).where(is_wanted)).mappings() if wanted else ()
            found = {(row["bucket"], row["resets_at"]): _used_of(row) for row in rows}
        return [found.get(key, Used()) for key in wanted]


def _inserting(
    connection: sa.Connection, period: Period, now: datetime, *, units: int, calls: int, **more: Any
) -> postgresql.Insert | sqlite.Insert:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(quota_ledger).values(
        bucket=period.bucket,
        resets_at=period.resets_at,
        units_used=units,
        units_limit=period.limit,
        calls=calls,
        first_used_at=now,
        updated_at=now,
        **more,
    )


def _between(units: sa.ColumnElement[int], limit: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.case((units < 0, 0), (units > limit, limit), else_=units)


def _used_of(row: sa.RowMapping) -> Used:
    return Used(row["units_used"], row["calls"], row["first_used_at"] if row["calls"] else None, row["exhausted_at"])
