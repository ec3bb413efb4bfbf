"""The uploads that a timeline refers to: by id, by file name, by where they came from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from annotated_types import MaxLen, MinLen

from mediajobs_dagster.intake.search import Search
from mediajobs_dagster.models import Upload, Value
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import open_storage
from mediajobs_dagster.timelines import model as format_
from mediajobs_dagster.timelines.model import Reference, Timeline
from mediajobs_dagster.timelines.references import references_of
from mediajobs_dagster.timelines.resolving import References, Unresolved, with_references
from tests.clips import Clips
from tests.history.factories import an_upload
from tests.platform import Platform
from tests.servers.s3 import S3Server


@pytest.fixture
def references(platform: Platform) -> References:
    """Looks references up among the uploads of the platform."""
    return References(platform.history.uploads, Search(platform.storage).origin_of)


def fault(references: References, name: str) -> str:
    """What is said of a reference that stands for nothing."""
    answer = references.resolve([name])[name]
    assert isinstance(answer, Unresolved)
    assert answer.reference == name
    return answer.message


def test_an_upload_is_found_by_its_id_and_by_its_file_name(platform: Platform, references: References) -> None:
    first, second = (platform.history.uploads.add(an_upload(filename=name)) for name in ("a talk.mp4", "b.mp4"))
    assert references.resolve([first.id, "b.mp4", "a talk.mp4", first.id]) == {
        first.id: first,
        "b.mp4": second,
        "a talk.mp4": first,
    }
    assert references.resolve([]) == {}


def test_an_id_wins_over_a_file_name(platform: Platform, references: References) -> None:
    """Somebody may call a file by the id of an upload."""
    upload = platform.history.uploads.add(an_upload())
    platform.history.uploads.add(an_upload(filename=upload.id))
    assert references.resolve([upload.id]) == {upload.id: upload}


def test_one_content_under_one_name_is_the_newest_upload(platform: Platform, references: References) -> None:
    older, newer = (platform.history.uploads.add(an_upload(filename="talk.mp4", etag="same")) for _ in range(2))
    assert older.id < newer.id
    assert references.resolve(["talk.mp4"]) == {"talk.mp4": newer}


def test_a_name_of_different_contents_is_refused_with_their_ids(platform: Platform, references: References) -> None:
    """The newest first, five at most; of each content the newest upload."""
    added = [
        platform.history.uploads.add(an_upload(filename="talk.mp4", etag=etag)) for etag in ("a", "a", *"bcdefg", "g")
    ]
    message = fault(references, "talk.mp4")
    named = [upload.id for upload in reversed(added) if upload.id in message]
    assert named == [added[index].id for index in (8, 6, 5, 4, 3)]
    assert [message.index(each) for each in named] == sorted(message.index(each) for each in named)
    assert "and older ones" in message


def test_an_upload_is_found_by_its_file_name_without_the_suffix(platform: Platform, references: References) -> None:
    """In whatever case, as reels and clips are called in edits; a whole file name wins, and two files are a fault."""
    names = ("A012_C003.mov", "Über Uns.mp4", "day 1.final.mp4", "100%.mp4", "talk", "talk.mp4", "b.mov", "B.wav")
    uploads = {name: platform.history.uploads.add(an_upload(filename=name, etag=name)) for name in names}
    asked = {
        "a012_c003": "A012_C003.mov",
        "A012_C003.MOV": "A012_C003.mov",
        "Über Uns": "Über Uns.mp4",
        "DAY 1.final": "day 1.final.mp4",
        "100%": "100%.mp4",
        "talk": "talk",
    }
    assert references.resolve(asked) == {name: uploads[filename] for name, filename in asked.items()}
    for name in ("day 1", "A012", "10_%", "C003.mov"):
        assert "No upload" in fault(references, name)
    message = fault(references, "b")
    assert "b.mov" in message
    assert "B.wav" in message


def test_a_place_stands_for_what_lies_there_now(
    platform: Platform, references: References, clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path, absolute or not, through a link or not, and a file:// address; of two with one name, the one there."""
    places = [tmp_path / name / "my talk.mp4" for name in "ab"]
    uploads: list[Upload] = []
    for place, clip in zip(places, (clips.landscape(), clips.no_audio()), strict=True):
        place.parent.mkdir()
        shutil.copy(clip, place)
        uploads.append(platform.register(place))
    (tmp_path / "link.mp4").symlink_to(places[0])
    monkeypatch.chdir(tmp_path)
    addresses = (str(places[0]), places[0].as_uri(), "a/my talk.mp4", "./link.mp4", f"file://localhost{places[0]}")
    assert references.resolve(addresses) == dict.fromkeys(addresses, uploads[0])
    assert references.resolve([str(places[1])]) == {str(places[1]): uploads[1]}

    os.utime(places[0], ns=(0, 0))
    message = fault(references, str(places[0]))
    assert "changed since" in message
    assert f"mediajobs add '{places[0]}'" in message


def test_an_object_is_found_by_its_address(
    open_platform: Callable[..., Platform], s3_settings: Settings, s3_server: S3Server, clips: Clips, tmp_path: Path
) -> None:
    """In our own bucket and in another; one that is not there is a fault."""
    platform = open_platform(**s3_settings.model_dump(exclude={"home", "scratch_dir", "database_url"}))
    references = References(platform.history.uploads, Search(platform.storage).origin_of)
    foreign = open_storage(s3_server.settings(s3_server.make_bucket(), tmp_path / "foreign"))
    urls: list[str] = []
    for storage in (platform.storage, foreign):
        storage.put(clips.landscape(), "in/talk.mp4", content_type="video/mp4")
        urls.append(f"{storage.url.rstrip('/')}/in/talk.mp4")
    uploads = [platform.add(url) for url in urls]
    assert uploads[0].id != uploads[1].id
    assert references.resolve(urls) == dict(zip(urls, uploads, strict=True))
    assert "no such object" in fault(references, f"{urls[0]}.bak")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("talk.mp4", "mediajobs add talk.mp4"),
        ("it's.mp4", """mediajobs add 'it'"'"'s.mp4'"""),
        ("/nowhere/talk.mp4", "does not exist"),
        ("/", "is not a file"),
        ("file:///nowhere/a%20b.mp4", "/nowhere/a b.mp4 does not exist"),
        ("https://example.com/talk.mp4", "cannot be reached from here"),
        ("file://server/talk.mp4", "cannot be reached from here"),
        ("s3://[bucket/talk.mp4", "cannot be reached from here"),
        ("s3://bucket/talk.mp4", "objects are kept in the folder"),
        ("~nobody-of-that-name/talk.mp4", "not a path"),
        (f"/{'x' * 300}/talk.mp4", "talk.mp4"),
        ("a\0b.mp4", "No upload"),
        ("a/\ud800.mp4", "No upload"),
    ],
)
def test_what_stands_for_nothing_is_a_fault(references: References, name: str, said: str) -> None:
    """Whatever is written, there is a sentence that says what to do, and no exception."""
    assert said in fault(references, name)


# --- in a timeline ---------------------------------------------------------------------------------------------------

EVERYWHERE = Timeline.model_validate(
    {
        "version": "create_video_v1",
        "canvas": {"background": {"kind": "image", "source": "wall"}},
        "track": [
            {"kind": "clip", "source": "talk", "out": "1001/30"},
            {"kind": "gap", "duration": 1},
            {"kind": "still", "source": "walk", "duration": 1},
            {"kind": "image", "source": "slide", "duration": 1},
        ],
        "layers": [
            {"kind": "video", "source": "talk"},
            {"kind": "title", "text": "source", "duration": 1},
            {"kind": "image", "source": "slide"},
            {"kind": "logo", "source": "logo"},
        ],
        "narration": [{"source": "voice"}],
        "music": [{"source": "song"}],
        "captions": {"transcript": "talk"},
    }
)


def test_every_reference_is_replaced() -> None:
    """And nothing else: neither values, nor which of them were left out."""
    uploads = {name: an_upload() for _, name in references_of(EVERYWHERE)}
    replaced = with_references(EVERYWHERE, uploads)
    assert dict(references_of(replaced)) == {path: uploads[name].id for path, name in references_of(EVERYWHERE)}
    back = with_references(replaced, {upload.id: an_upload(id=name) for name, upload in uploads.items()})
    assert back == EVERYWHERE
    assert back.model_dump_json(exclude_unset=True) == EVERYWHERE.model_dump_json(exclude_unset=True)


LIMITS = (MinLen(1), MaxLen(1024))
"""By which a reference is told from other texts."""


def fields_of_the_format() -> Iterator[tuple[type[Value], str, bool]]:
    """Each field of the timeline's parts, and whether it is declared as a reference."""
    assert {str(limit) for limit in Reference.__metadata__[0].metadata} == {str(limit) for limit in LIMITS}
    for part in vars(format_).values():
        if isinstance(part, type) and issubclass(part, Value):
            for name, field in part.model_fields.items():
                yield part, name, field.annotation is str and all(limit in field.metadata for limit in LIMITS)


def test_references_are_the_fields_called_source() -> None:
    """Whoever adds one under another name has to tell those who replace them."""
    fields = list(fields_of_the_format())
    assert {name for _, name, is_reference in fields if is_reference} == {"source", "transcript"}
    assert all(is_reference for _, name, is_reference in fields if name in ("source", "transcript"))
    walked = {path.rpartition(".")[0].partition("[")[0] for path, _ in references_of(EVERYWHERE)}
    assert walked == {"$.track", "$.layers", "$.narration", "$.music", "$.captions", "$.canvas.background"}
