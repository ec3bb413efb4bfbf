"""Dagster's serialized runs and events, packed in SQLite: a record of 3 KB takes a few hundred bytes."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from mediajobs_dagster.orchestration.run_words import RUNS

_SERIALIZED = '{"__class__"'
"""How everything begins that Dagster serializes. Other texts, which queries compare, are stored as they are."""

_WORTH_IT = 200
"""Shorter texts are stored as they are, characters."""


class PackedText(sa.Text):
    """Text that may be packed. Rows of earlier versions have plain text, and are read as well."""

    def bind_processor(self, dialect: sa.Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy sets the signature
        """What is sent to the database for a text."""
        return _packed

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:  # noqa: ARG002  # as above
        """The text for what the database holds."""
        return _unpacked


def pack_texts(engine: sa.Engine) -> None:
    """Let `engine` pack what Dagster serializes, in whatever column of text it stores it."""
    engine.dialect.colspecs = {**engine.dialect.colspecs, sa.Text: PackedText}


def _packed(value: str | None) -> str | bytes | None:
    if value is None or len(value) < _WORTH_IT or not value.startswith(_SERIALIZED):
        return value
    return RUNS.pack(value)


def _unpacked(value: Any) -> str | None:
    return RUNS.unpack(value) if isinstance(value, bytes) else value
