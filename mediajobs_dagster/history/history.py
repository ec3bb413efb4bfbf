"""The history database, as one value to hand around."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import TracebackType

import sqlalchemy as sa

from mediajobs_dagster.errors import DatabaseUnavailableError
from mediajobs_dagster.history.actions import Actions
from mediajobs_dagster.history.alerts import Alerts
from mediajobs_dagster.history.attempts import Attempts
from mediajobs_dagster.history.by_type import ByType
from mediajobs_dagster.history.clock import db_now
from mediajobs_dagster.history.cohorts import Cohorts
from mediajobs_dagster.history.current import Current
from mediajobs_dagster.history.database import Database
from mediajobs_dagster.history.days import Days
from mediajobs_dagster.history.events import Events
from mediajobs_dagster.history.jobs import Jobs
from mediajobs_dagster.history.leases import Leases
from mediajobs_dagster.history.login_attempts import LoginAttempts
from mediajobs_dagster.history.migrations import migrate, schema_version
from mediajobs_dagster.history.named_objects import NamedObjects
from mediajobs_dagster.history.naming import Naming
from mediajobs_dagster.history.places import Places
from mediajobs_dagster.history.quota import QuotaLedger
from mediajobs_dagster.history.removing import Removing
from mediajobs_dagster.history.requests import Requests
from mediajobs_dagster.history.schedules import ScheduleRows
from mediajobs_dagster.history.schema import SCHEMA_VERSION
from mediajobs_dagster.history.series import Series
from mediajobs_dagster.history.sessions import SessionRows
from mediajobs_dagster.history.sites import Sites
from mediajobs_dagster.history.space import Space
from mediajobs_dagster.history.statistics import Statistics
from mediajobs_dagster.history.storage_snapshots import StorageSnapshots
from mediajobs_dagster.history.switches import Switches
from mediajobs_dagster.history.timelines import Timelines
from mediajobs_dagster.history.tokens import TokenRows
from mediajobs_dagster.history.trace_outbox import TraceOutbox
from mediajobs_dagster.history.uploads import Uploads
from mediajobs_dagster.history.users import UserRows
from mediajobs_dagster.history.videos import Videos
from mediajobs_dagster.history.webhook_events import WebhookEvents
from mediajobs_dagster.history.webhooks import Webhooks
from mediajobs_dagster.history.witnesses import Witnesses

_NOW = sa.select(db_now())


class History:
    """What was asked for and what happened. Threads may share it; a forked process opens its own."""

    def __init__(self, database: Database) -> None:
        """Work on a database that has the schema already; see `open`."""
        self._database = database
        self.uploads = Uploads(database)
        self.timelines = Timelines(database)
        self.jobs = Jobs(database)
        self.leases = Leases(database)
        self.attempts = Attempts(database)
        self.current = Current(database)
        self.cohorts = Cohorts(database)
        self.days = Days(database)
        self.events = Events(database)
        self.statistics = Statistics(database)
        self.naming = Naming(database)
        self.quota = QuotaLedger(database)
        self.sites = Sites(database)
        self.videos = Videos(database)
        self.actions = Actions(database)
        self.schedules = ScheduleRows(database)
        self.requests = Requests(database)
        self.removing = Removing(database)
        self.series = Series(database)
        self.by_type = ByType(database)
        self.space = Space(database)
        self.places = Places(database)
        self.switches = Switches(database)
        self.witnesses = Witnesses(database)
        self.alerts = Alerts(database)
        self.webhooks = Webhooks(database)
        self.webhook_events = WebhookEvents(database)
        self.named_objects = NamedObjects(database)
        self.storage_snapshots = StorageSnapshots(database)
        self.trace_outbox = TraceOutbox(database)
        self.users = UserRows(database)
        self.sessions = SessionRows(database)
        self.tokens = TokenRows(database)
        self.login_attempts = LoginAttempts(database)

    @classmethod
    def open(cls, url: str, *, timeout_s: float = 10.0, is_traced: bool = False) -> History:
        """Connect, and bring the database to the newest schema; a SQLite file and its folder are made when missing.

        `timeout_s` bounds each wait for a lock, a statement or the server. With `is_traced`, each attempt that ends is
        noted for a collector of traces. Raises SettingsError for a URL that is
        neither SQLite's nor PostgreSQL's. This and every other method may raise DatabaseUnavailableError and
        DatabaseBusyError.
        """
        database = Database(url, timeout_s=timeout_s, is_traced=is_traced)
        try:
            migrate(database)
        except BaseException:
            database.close()
            raise
        return cls(database)

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def __enter__(self) -> History:
        """Use it in a `with` statement, which closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def now(self) -> datetime:
        """The present moment by the database's clock, which leases and pauses go by."""
        with self._database.read() as connection:
            found = connection.scalar(_NOW)
        assert found is not None  # it is one row
        return found

    @property
    def is_on_this_machine(self) -> bool:
        """Whether the database is a file, so that all who use it share one clock."""
        return self._database.is_sqlite

    @property
    def file(self) -> Path | None:
        """The file of the database; None on a server."""
        return self._database.sqlite_path if self._database.is_sqlite else None

    def check_writable(self) -> None:
        """Begin a transaction that writes, and end it. Raises DatabaseUnavailableError and DatabaseBusyError."""
        with self._database.write():
            pass

    def check(self) -> str:
        """Which database this is, such as `SQLite 3.45.1, schema 0001`. Raises DatabaseUnavailableError."""
        name, ask = (
            ("SQLite", "SELECT sqlite_version()") if self._database.is_sqlite else ("PostgreSQL", "SHOW server_version")
        )
        with self._database.read() as connection:
            version = connection.scalar(sa.text(ask))
        schema = schema_version(self._database)
        if schema != SCHEMA_VERSION:
            raise DatabaseUnavailableError(
                f"The history database has schema {schema}, this mediajobs works with {SCHEMA_VERSION}. "
                "Start mediajobs once to migrate it, or install the version that made it."
            )
        return f"{name} {version}, schema {schema}"
