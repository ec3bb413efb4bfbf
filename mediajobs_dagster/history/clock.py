"""The database's clock. Leases and pauses go by it alone, so the clocks of the machines need not agree."""

# SQLAlchemy's hook for the compiler is typed in part:
# pyright: reportUnknownMemberType=false, reportUntypedFunctionDecorator=false
from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from mediajobs_dagster.history.schema import UtcDateTime


class DatabaseTime(FunctionElement[datetime]):
    """A moment by the database's clock: when the statement arrived, and some seconds after or before that."""

    type = UtcDateTime()
    inherit_cache = True


def db_now() -> DatabaseTime:
    """The moment at which the statement arrives at the database."""
    return DatabaseTime()


def db_time_in(seconds: float | sa.BindParameter[float]) -> DatabaseTime:
    """So many seconds after that moment; before it, if negative."""
    given = seconds if isinstance(seconds, sa.BindParameter) else sa.bindparam(None, seconds, type_=sa.Float())
    return DatabaseTime(given)


@compiles(DatabaseTime, "postgresql")
def _on_postgres(element: DatabaseTime, compiler: SQLCompiler, **options: Any) -> str:
    # Not clock_timestamp(), which moves while the statement runs: an index cannot look up such a value. Not now(),
    # which is when the transaction began: it may have waited for others since.
    seconds = compiler.process(element.clauses, **options)
    return f"(statement_timestamp() + make_interval(secs => {seconds}))" if seconds else "statement_timestamp()"


@compiles(DatabaseTime, "sqlite")
def _on_sqlite(element: DatabaseTime, compiler: SQLCompiler, **options: Any) -> str:
    # As SQLAlchemy writes moments, so that the texts compare as the moments do. SQLite's clock has milliseconds.
    seconds = compiler.process(element.clauses, **options)
    after = f", printf('%+f seconds', {seconds})" if seconds else ""
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now'{after})"
