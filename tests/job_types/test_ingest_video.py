"""What is planned for a video: the steps, what becomes an upload, and what containers are."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediajobs_dagster.errors import InputEmptyError, InputNotMediaError
from mediajobs_dagster.job_types.ingest_video import JOB_TYPE
from mediajobs_dagster.job_types.ingest_video.containers import content_type_of, is_file_address, suffix_of
from mediajobs_dagster.job_types.ingest_video.left import LeftText, LeftVideo, further_steps, name_of, outputs_of
from mediajobs_dagster.job_types.ingest_video.subtitles import as_webvtt
from mediajobs_dagster.job_types.plan import Run
from mediajobs_dagster.media.command import Command
from mediajobs_dagster.models import UploadRole, Video, utc_now

VIDEO = Video(
    site="youtube",
    external_id="abc",
    address="https://youtu.be/abc",
    title="A talk",
    found_by="ingest",
    found_in="https://youtu.be/abc",
    id="019a4c2e-7b1d-7c3a-9f52-3d1e8a6b4c01",
    created_at=utc_now(),
    updated_at=utc_now(),
)


def left(*suffixes: str, is_segmented: bool = False) -> LeftVideo:
    """What a download left."""
    names = tuple(f"part{number}.{suffix}" for number, suffix in enumerate(suffixes))
    texts = (LeftText("en", False, "text0.vtt"),)
    return LeftVideo(names, suffixes, is_segmented, {"title": "On paths", "durationSeconds": 60.0}, texts)


def test_a_whole_file_needs_no_step(tmp_path: Path) -> None:
    """It is as it came."""
    left("webm").write(tmp_path)
    assert further_steps(tmp_path) == ()


@pytest.mark.parametrize(
    ("suffixes", "is_segmented", "target", "tracks"),
    [
        (("mp4", "m4a"), False, "source.mp4", ("0:v:0", "1:a:0")),
        (("webm", "webm"), False, "source.webm", ("0:v:0", "1:a:0")),
        (("mp4", "webm"), False, "source.mkv", ("0:v:0", "1:a:0")),
        (("ts",), True, "source.mp4", ("0:v:0?", "0:a:0?")),
    ],
)
def test_parts_are_put_together(
    tmp_path: Path, suffixes: tuple[str, ...], is_segmented: bool, target: str, tracks: tuple[str, ...]
) -> None:
    """Copied, never encoded, into a container that holds them."""
    left(*suffixes, is_segmented=is_segmented).write(tmp_path)
    (step,) = further_steps(tmp_path)
    assert isinstance(step, Run)
    assert isinstance(step.command, Command)
    (output,) = step.command.outputs
    assert output.target == target
    assert [value for option, value in zip(output.options, output.options[1:], strict=False) if option == "-map"] == [
        *tracks
    ]
    assert output.options[4:6] == ("-c", "copy")
    assert step.command.media_seconds == 60.0


def test_the_file_becomes_a_source(tmp_path: Path) -> None:
    """Named by its title, with what is known of it; subtitles are objects beside it."""
    left("mp4").write(tmp_path)
    folder = "ingests/2026-11/28/019a4c2e-7b1d-7c3a-9f52-3d1e8a6b4c01"
    source, text = outputs_of(VIDEO, folder, tmp_path)
    assert (source.becomes, source.upload_name, source.content_type) == (UploadRole.SOURCE, "On paths.mp4", "video/mp4")
    assert (text.becomes, text.key, text.content_type) == (None, f"{folder}/subtitles.en.vtt", "text/vtt")
    assert source.details is not None
    assert source.details["subtitles"] == [{"language": "en", "isAutomatic": False, "key": text.key}]
    assert (source.details["site"], source.details["externalId"]) == ("youtube", "abc")
    assert all(JOB_TYPE.has_made(each.key) for each in (source, text))


@pytest.mark.parametrize(
    ("title", "name"),
    [("a/b\\c", "a b c"), ("  .hidden. ", "hidden"), ("", "video"), ("x" * 500, "x" * 150), ("\x00\n", "video")],
)
def test_a_title_as_the_name_of_a_file(title: str, name: str) -> None:
    """It has nothing of a path."""
    assert name_of(title) == name


@pytest.mark.parametrize(
    ("head", "suffix"),
    [
        (b"\0\0\0\x18ftypmp42", "mp4"),
        (b"\0\0\0\x18ftypqt  ", "mov"),
        (b"\0\0\0\x18ftypM4A ", "m4a"),
        (b"\x1aE\xdf\xa3 webm", "webm"),
        (b"\x1aE\xdf\xa3 matroska", "mkv"),
        (b"RIFF1234WAVE", "wav"),
        (b"RIFF1234AVI ", "avi"),
        (b"G" + b"x" * 187 + b"G", "ts"),
        (b"ID3", "mp3"),
        (b"who knows", "media"),
    ],
)
def test_a_container_is_known_by_its_beginning(head: bytes, suffix: str) -> None:
    """What is not known is left to ffprobe, which looks at everything that calls itself video or sound."""
    assert suffix_of(head, "a") == suffix
    assert content_type_of(suffix).startswith(("video/", "audio/"))


@pytest.mark.parametrize("head", [b"<!DOCTYPE html>", b"\xef\xbb\xbf <HTML>", b"{}", b"#EXTM3U", b"<?xml ?>"])
def test_pages_and_texts_are_no_media(head: bytes) -> None:
    """Whatever they are called."""
    with pytest.raises(InputNotMediaError):
        suffix_of(head, "a")
    with pytest.raises(InputEmptyError):
        suffix_of(b"", "a")


def test_addresses_of_files() -> None:
    """By the end of the path alone."""
    assert is_file_address("https://a.example/x.MP4?y=1#z")
    assert not is_file_address("https://a.example/watch?v=x.mp4")
    assert not is_file_address("https://a.example/all.m3u8")


def test_subtitles_become_webvtt() -> None:
    """SubRip differs by its commas; what is neither is left out."""
    assert as_webvtt(b"1\r\n00:00:01,500 --> 00:00:02,000\r\nHi, you\r\n", "srt") == (
        "WEBVTT\n\n1\n00:00:01.500 --> 00:00:02.000\nHi, you\n"
    )
    assert as_webvtt(b"\xef\xbb\xbfWEBVTT\n\n", "vtt") == "WEBVTT\n\n"
    assert as_webvtt(b"<html>", "vtt") is None
    assert as_webvtt(b"nothing", "srt") is None
