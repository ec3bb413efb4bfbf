"""Manifests and results: whole for who reads them, small where they lie."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from hashlib import sha256

import pytest
import sqlalchemy as sa

from mediajobs_dagster.history import AttemptFilter, History
from mediajobs_dagster.history.manifest_words import MANIFESTS
from mediajobs_dagster.history.packing import Packing
from mediajobs_dagster.orchestration.run_words import RUNS
from tests.history.factories import an_attempt

COMMAND = {"argv": ["ffmpeg", "-hide_banner", "-i", "file:source", "-c:v", "libx264"], "status": "ok", "exitCode": 0}
MANIFEST = {"schemaVersion": 2, "ffmpegCommands": [COMMAND] * 20, "notes": ["ä\u2028\x00"], "errors": []}
RESULT = {"fingerprint": "f", "outputs": [{"key": "thumbs/one/thumb.jpg", "bytes": 10}], "children": []}


@pytest.fixture
def engine(history_url: str) -> Iterator[sa.Engine]:
    """The database, without our types: it answers with what is stored."""
    opened = sa.create_engine(history_url)
    yield opened
    opened.dispose()


def test_what_is_stored_is_small(history: History, engine: sa.Engine) -> None:
    """Packed on SQLite; on PostgreSQL, which compresses by itself, JSON without spaces that its own tools can read."""
    attempt = an_attempt(manifest=MANIFEST, result=RESULT)
    history.attempts.record(attempt)
    assert history.attempts.get(attempt.id) == attempt
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            manifest, result = connection.execute(sa.text("SELECT manifest, result FROM job_history")).one()
            assert len(manifest) < len(json.dumps(MANIFEST)) / 10
            assert len(result) < len(json.dumps(RESULT)) / 2
        else:
            columns = "CAST(manifest AS text), CAST(result AS text)"
            stored = connection.execute(sa.text(f"SELECT {columns} FROM job_history")).one()
            assert stored == tuple(json.dumps(each, separators=(",", ":")) for each in (MANIFEST, RESULT))


def test_rows_of_earlier_versions_are_read(history: History, engine: sa.Engine) -> None:
    """They have plain text, which nobody packs afterwards."""
    attempt = an_attempt()
    history.attempts.record(attempt)
    with engine.begin() as connection:
        plain = sa.text("UPDATE job_history SET manifest = :manifest, result = :result")
        connection.execute(plain, {"manifest": json.dumps(MANIFEST), "result": json.dumps(RESULT)})
    earlier = attempt.model_copy(update={"manifest": MANIFEST, "result": RESULT})
    assert history.attempts.get(attempt.id) == earlier
    assert list(history.attempts.iterate(AttemptFilter(), with_manifest=True)) == [earlier]


def test_no_manifest_is_no_value(history: History, engine: sa.Engine) -> None:
    """Statistics ask the database for attempts that have one."""
    history.attempts.record(an_attempt())
    with engine.connect() as connection:
        stored = connection.execute(sa.text("SELECT manifest IS NULL, result IS NULL FROM job_history")).one()
    assert tuple(map(bool, stored)) == (True, True)


def test_any_text_comes_back_as_it_was() -> None:
    """Short ones, long ones, and none of the words."""
    for text in ("", "{}", "ä🏖\x00", "x" * 100_000, json.dumps(MANIFEST)):
        assert MANIFESTS.unpack(MANIFESTS.pack(text)) == text


def test_other_words_do_not_read_it() -> None:
    """So the words of a kind can never change: this fails when somebody changes them, and stored rows with it."""
    with pytest.raises(zlib.error):
        Packing(b"others").unpack(MANIFESTS.pack("text"))
    assert sha256(MANIFESTS.words).hexdigest() == "c3062b82bc743a3f590ae6e89ca79cc656831d5538e588e55ff5ec28d079383c"
    assert sha256(RUNS.words).hexdigest() == "fe18a4908142c9cbf0b0600c5675b31211d7460db6885d3f294ad99b7ca23ca7"
