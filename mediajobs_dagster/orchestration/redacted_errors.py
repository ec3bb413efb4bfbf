"""Takes secrets out of exceptions before Dagster stores them as events."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager

from mediajobs_dagster.errors import InternalError
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


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__]
