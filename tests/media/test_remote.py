"""ffmpeg reading a signed address by range, and what a refusing server is called."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from mediajobs_dagster import errors
from mediajobs_dagster.media.command import Command, Input, Output
from mediajobs_dagster.media.probe import probe
from mediajobs_dagster.media.run import Runner
from tests.clips import Clips
from tests.media.conftest import Records
from tests.media.web import Web, serve

FRAME = Output("thumb.jpg", ("-frames:v", "1", "-update", "1"))


def test_a_frame_is_made_from_a_part_of_the_object(
    runner: Runner, clips: Clips, records: Records, tmp_path: Path
) -> None:
    """Only a part of the object is read, the bytes are counted, and the signature is on no record."""
    clip = clips.detailed(4)
    with serve(Web(files={"/clip.mp4": clip})) as web:
        source = web.address("/clip.mp4")
        info = probe(runner, source, report=records)
        runner.run(Command((Input(source, ("-ss", "0.2")),), (FRAME,)), cwd=tmp_path, report=records)
    assert info.bytes == clip.stat().st_size
    assert (tmp_path / "thumb.jpg").stat().st_size > 1000
    assert 10_000 < records.commands[-1].remote_bytes < clip.stat().st_size / 2
    assert "5ec3e7" not in "".join(record.model_dump_json() for record in records.commands)
    assert "/clip.mp4?" in " ".join(records.commands[0].argv)
    assert "[verbose]" not in records.commands[1].stderr_tail


def test_a_proxy_is_not_asked_for_what_this_machine_serves(
    runner: Runner, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where workers reach the storage through a proxy, that one cannot reach their own loopback interface."""
    clip = clips.landscape()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "intranet.example")
    with serve(Web(files={"/clip.mp4": clip})) as web:
        assert probe(runner, web.address("/clip.mp4")).bytes == clip.stat().st_size


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "STORAGE_DENIED"),
        (403, "STORAGE_DENIED"),
        (404, "STORAGE_MISSING"),
        (400, "STORAGE_FAILED"),
    ],
)
def test_a_refusal_is_named(status: int, code: str, runner: Runner, records: Records, tmp_path: Path) -> None:
    """What the object storage answers is told apart, for ffprobe and for ffmpeg, and is not tried again."""
    with serve(Web(refusals={"/clip.mp4": status})) as web:
        source = web.address("/clip.mp4")
        with pytest.raises(errors.StorageError):
            probe(runner, source, report=records)
        with pytest.raises(errors.StorageError):
            runner.run(Command((Input(source),), (FRAME,)), cwd=tmp_path, report=records)
        assert web.asked == ["/clip.mp4"] * 2
    assert [record.status for record in records.commands] == [code, code]


def test_a_server_out_of_service_is_asked_again_and_then_named(runner: Runner, records: Records) -> None:
    """A 503 is tried again a few times, then it is STORAGE_UNAVAILABLE, which is not our fault and may be retried."""
    with serve(Web(refusals={"/clip.mp4": 503})) as web:
        with pytest.raises(errors.StorageUnavailableError):
            probe(runner, web.address("/clip.mp4"), report=records)
        assert 2 <= len(web.asked) <= 5


def test_a_server_that_is_not_there_is_named(runner: Runner, records: Records) -> None:
    """A refused connection is STORAGE_UNAVAILABLE."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(errors.StorageUnavailableError):
            probe(runner, f"http://127.0.0.1:{port}/clip.mp4", report=records)
