"""Makes exceptions fit to be stored as events of Dagster: without secrets, and named where we know a name."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager

import dagster as dg

from mediajobs_dagster.errors import InternalError, MediaJobsError
from mediajobs_dagster.storage.redaction import redact


@contextmanager
def redacted_errors() -> Generator[None]:
    """Exceptions leave the block without secrets, with all their causes. Dagster keeps their texts, and shows them."""
    try:
        yield
    except Exception as error:
        for each in _with_causes(error):
            each.args = tuple(redact(part) if isinstance(part, str) else part for part in each.args)
        if all(redact(str(each)) == str(each) for each in _with_causes(error)):
            raise
        # Some errors, such as those of SQLAlchemy, make their text of other things than their arguments.
        raise InternalError(redact(f"{type(error).__name__}: {error}")) from None


@contextmanager
def named_failures() -> Generator[None]:
    """An error of the error tree becomes a failure of the run that says it in a sentence; a bug keeps its traceback."""
    try:
        yield
    except InternalError:
        raise
    except MediaJobsError as error:
        raise dg.Failure(f"{error.code}: {redact(error.message)}", allow_retries=False) from None


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__]
