"""What a job is about, and what it reads: looked up once, and told in words where it is not there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import ClassVar

import pytest
import sqlalchemy as sa
from typing_extensions import override

from mediajobs_dagster.attempts.subjects import AttemptOutput, AttemptSource, inputs_of, key_in, resolver_of
from mediajobs_dagster.errors import NotFoundError, PrerequisiteMissingError, StorageMissingError
from mediajobs_dagster.job_types.material import Access, OutputUse, SourceUse
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import Subject, SubjectKind, Tick, Upload, new_trace_id
from mediajobs_dagster.storage.local import LocalStorage
from tests.history.factories import an_upload
from tests.platform import Platform
from tests.seam.greeting import Greeting


class Echo(Greeting):
    """Reads what a greeting has made of the same upload."""

    name: ClassVar[str] = "echo_v1"
    reads: ClassVar[tuple[OutputUse, ...]] = (OutputUse(Greeting.name, "greeting.txt"),)


class Mix(Greeting):
    """Reads its subject and others."""

    name: ClassVar[str] = "mix_v1"
    others: ClassVar[tuple[str, ...]] = ()

    @override
    def source_uses(self, subject: Subject) -> tuple[SourceUse, ...]:
        ids = (subject.id, *self.others)
        return tuple(SourceUse(each, Access.WHOLE, name=f"source_{number}") for number, each in enumerate(ids))


@pytest.fixture
def platform(open_platform: Callable[..., Platform]) -> Platform:
    """A platform whose jobs only write texts."""
    return open_platform(registry=Registry([Greeting(), Echo(), Mix()]), offers=("none",))


def stored(platform: Platform, tmp_path: Path, number: int = 0, **fields: str) -> Upload:
    """An upload of which the history knows nothing, and its object."""
    key = f"elsewhere/{number}.txt"
    (tmp_path / "text").write_text("text" * (number + 1))
    stat = platform.storage.put(tmp_path / "text", key, content_type="text/plain")
    return an_upload(storage_key=key, etag=stat.etag, origin=None, **fields)


def folder_of(platform: Platform) -> Path:
    """Where the objects lie."""
    assert isinstance(platform.storage, LocalStorage)
    return platform.storage.root


def test_each_kind_of_subject_is_looked_up_where_it_is(platform: Platform) -> None:
    """A tick nowhere: its id is all of it, and a day has none that could be made up for."""
    history = platform.history
    stores = {
        SubjectKind.UPLOAD: history.uploads,
        SubjectKind.TIMELINE: history.timelines,
        SubjectKind.VIDEO: history.videos,
    }
    assert {kind: resolver_of(kind, history) for kind in stores} == stores
    ticks = resolver_of(SubjectKind.TICK, history)
    tick = Tick(schedule="history_cleanup", created_at=datetime(2026, 3, 4, 3, tzinfo=UTC))
    assert ticks.get(tick.id) == tick
    assert list(ticks.of_day(date(2026, 3, 4))) == []
    with pytest.raises(NotFoundError, match="There is no such tick"):
        ticks.get("history_cleanup")


def test_sources_are_looked_up_together_and_the_subject_not_at_all(platform: Platform, tmp_path: Path) -> None:
    """A timeline may have thousands."""
    subject, *others = (stored(platform, tmp_path, number) for number in range(4))
    for each in others:
        platform.history.uploads.add(each)
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    sa.event.listen(platform.history._database.engine, "before_cursor_execute", note)
    Mix.others = tuple(each.id for each in others)
    inputs = inputs_of(Mix(), subject, platform.history, platform.storage)
    assert sum("FROM uploads" in each for each in asked) == 1
    assert inputs.sources == tuple(
        AttemptSource(
            each, SourceUse(each.id, Access.WHOLE, name=f"source_{number}"), platform.storage.stat(each.storage_key)
        )
        for number, each in enumerate((subject, *others))
    )
    assert [each.name for each in inputs.sources] == ["source_0", "source_1", "source_2", "source_3"]
    assert all(each.is_unchanged for each in inputs.sources)
    assert (inputs.subject, inputs.outputs, inputs.bytes) == (subject, (), 4 + 8 + 12 + 16)
    asked.clear()
    Mix.others = ()
    inputs_of(Mix(), subject, platform.history, platform.storage)
    assert asked == []


def test_a_source_that_is_not_known_is_not_found(platform: Platform, tmp_path: Path) -> None:
    """Whoever asked named it wrongly."""
    subject = stored(platform, tmp_path)
    Mix.others = ("nosuch",)
    with pytest.raises(NotFoundError, match="nosuch"):
        inputs_of(Mix(), subject, platform.history, platform.storage)


def test_of_a_source_that_is_gone_it_is_told_how_it_comes_back(platform: Platform, tmp_path: Path) -> None:
    """What was stored for the upload comes back with the file, what lay elsewhere does not. A disk that is away is none
    of both."""
    Mix.others = ()
    (tmp_path / "own.txt").write_text("own")
    own, other = platform.register(tmp_path / "own.txt"), stored(platform, tmp_path, filename="other.txt")
    changed = own.model_copy(update={"etag": "another"})
    [source] = inputs_of(Mix(), changed, platform.history, platform.storage).sources
    assert not source.is_unchanged
    for upload, cure in ((own, "Add the same file again"), (other, "Put the object back")):
        platform.storage.delete(upload.storage_key)
        with pytest.raises(StorageMissingError, match=f"The content of {upload.title} is gone.*{cure}"):
            inputs_of(Mix(), upload, platform.history, platform.storage)
    folder_of(platform).rename(tmp_path / "away")
    with pytest.raises(StorageMissingError, match="is its disk mounted") as caught:
        inputs_of(Mix(), own, platform.history, platform.storage)
    assert "The content of" not in caught.value.message


def test_an_output_that_is_read_has_to_be_made_first(platform: Platform, tmp_path: Path) -> None:
    """And again when it is gone; once it is there, it is part of what the inputs are."""
    (tmp_path / "own.txt").write_text("own")
    upload = platform.register(tmp_path / "own.txt")

    def look() -> tuple[AttemptOutput, ...]:
        return inputs_of(Echo(), upload, platform.history, platform.storage).outputs

    with pytest.raises(PrerequisiteMissingError, match=r"no greeting\.txt of own\.txt yet.*--type greeting_v1"):
        look()
    platform.history.jobs.enqueue([Greeting().request(upload, trace_id=new_trace_id())])
    (outcome,) = platform.work()
    (made,) = outcome.manifest.outputs
    stat = platform.storage.stat(made.key)
    inputs = inputs_of(Echo(), upload, platform.history, platform.storage)
    assert inputs.outputs == look() == (AttemptOutput("greeting.txt", stat),)
    assert (inputs.etag, inputs.bytes) == (f"{upload.etag}\n{stat.key} {stat.etag}", made.bytes)
    platform.storage.delete(made.key)
    with pytest.raises(PrerequisiteMissingError, match=r"greeting\.txt is gone from the storage.*--type greeting_v1"):
        look()
    folder_of(platform).rename(tmp_path / "away")
    with pytest.raises(StorageMissingError):
        look()


def test_an_output_is_known_by_the_end_of_its_key() -> None:
    """Whatever else the success has made."""
    result = {"outputs": [{"key": "a/1/thumb.jpg"}, {"key": "a/1/talk.srt"}, {"key": "plain.txt"}]}
    assert key_in(result, "talk.srt") == "a/1/talk.srt"
    assert key_in(result, "plain.txt") == "plain.txt"
    assert key_in(result, "srt") is None
    assert key_in(None, "talk.srt") is None
