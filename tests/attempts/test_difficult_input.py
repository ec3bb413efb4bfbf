"""Files that cannot be used: each ends in one history row with a manifest, blamed on the input, never tried again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from mediajobs_dagster.errors import Blame
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import AttemptStatus, JobStatus
from tests.clips import Clips
from tests.heif_pictures import written
from tests.platform import Platform

THUMB, PROXY, ENVELOPE = Thumbnail.name, EditProxy.name, AudioEnvelope.name
ALL = (THUMB, PROXY, ENVELOPE)


def assert_refused(platform: Platform, path: Path, code: str, job_types: tuple[str, ...] = ALL) -> None:
    """Each job is dead after one attempt, for a fault of the input; nothing is published and nothing is left."""
    upload = platform.add(path, *job_types)
    platform.work()
    for job_type in job_types:
        job = platform.job(upload, job_type)
        (attempt,) = platform.attempts(upload, job_type)
        manifest = platform.manifest(upload, job_type)
        assert (job.status, job.error_code) == (JobStatus.DEAD, code), attempt.error
        assert (attempt.status, attempt.error_code, attempt.blame) == (AttemptStatus.FAILURE, code, Blame.INPUT)
        assert [(error.code, error.blame, error.retryable) for error in manifest.errors] == [(code, Blame.INPUT, False)]
        assert manifest.outputs == ()
    assert [stat.key for stat in platform.storage.list("")] == [upload.storage_key]
    assert platform.leftovers() == []
    assert platform.work() == []


@pytest.mark.parametrize(
    ("clip", "code", "job_types"),
    [
        ("empty", "INPUT_EMPTY", ALL),
        ("text_named_mp4", "INPUT_NOT_MEDIA", ALL),
        ("cut_before_index", "INPUT_TRUNCATED", ALL),
        ("cut_in_middle", "INPUT_TRUNCATED", ALL),
        ("shredded", "INPUT_CORRUPT", (PROXY,)),
        ("audio_only", "INPUT_NO_VIDEO", (THUMB, PROXY)),
        ("cover_art", "INPUT_NO_VIDEO", (THUMB, PROXY)),
        ("huge_declared_size", "INPUT_TOO_LARGE", ALL),
        ("endless_table", "INPUT_TOO_LARGE", ALL),
        ("endless_gif", "INPUT_TOO_LONG", ALL),
    ],
)
def test_is_refused(platform: Platform, clips: Clips, clip: str, code: str, job_types: tuple[str, ...]) -> None:
    """A file that cannot be used has an error code of its own."""
    assert_refused(platform, getattr(clips, clip)(), code, job_types)


@pytest.mark.parametrize("clip", ["audio_only", "cover_art"])
def test_envelope_needs_no_picture(platform: Platform, clips: Clips, clip: str) -> None:
    """Sound without a moving picture has an envelope all the same."""
    platform.add(getattr(clips, clip)(), ENVELOPE)
    (outcome,) = platform.work()
    assert outcome.status is AttemptStatus.SUCCESS


@pytest.mark.parametrize("name", ["a.heic", "a.avif"])
def test_a_photo_of_a_phone_is_no_video(platform: Platform, tmp_path: Path, name: str) -> None:
    """ffmpeg would show one tile of it; no job takes it, whatever it was once taken for."""
    photo = written(tmp_path / name)
    assert_refused(platform, photo, "INPUT_REFUSED")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_photo_is_called_a_picture(platform: Platform, tmp_path: Path, form: str) -> None:
    """A photo under a video's name is refused, and the message does not call it a playlist only."""
    photo = tmp_path / "photo.mp4"
    Image.new("RGB", (64, 64), "red").save(photo, form)
    assert_refused(platform, photo, "INPUT_REFUSED")
    (job,) = platform.history.jobs.list(JobFilter(job_type=THUMB))
    assert "picture" in (platform.history.attempts.of_job(job.id)[0].error or "")


@contextmanager
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server on loopback that remembers who called: its address, and the callers."""
    calls: list[str] = []
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, peer = server.accept()
            except OSError:
                return
            calls.append(str(peer))
            connection.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/segment.ts", calls
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


Disguise = Callable[[Clips, str], Path]


@pytest.mark.parametrize(
    ("disguise", "code"),
    [
        (Clips.hls_playlist_named_mp4, "INPUT_REFUSED"),
        (Clips.concat_script_named_mp4, "INPUT_REFUSED"),
        (Clips.session_description_named_mp4, "INPUT_REFUSED"),
        (Clips.dash_manifest_named_mp4, "INPUT_NOT_MEDIA"),  # the bundled ffmpeg does not even know DASH
    ],
)
def test_scripts_open_no_host(platform: Platform, clips: Clips, disguise: Disguise, code: str) -> None:
    """A playlist or script under a video's name makes nobody call the host it names."""
    with listener() as (address, calls):
        assert_refused(platform, disguise(clips, address), code)
        assert calls == []


@pytest.mark.parametrize("disguise", [Clips.hls_playlist_named_mp4, Clips.concat_script_named_mp4])
def test_scripts_open_no_file(platform: Platform, clips: Clips, disguise: Disguise) -> None:
    """A playlist or script that names a file of this machine gets nothing of it into an output."""
    assert_refused(platform, disguise(clips, str(clips.transport_stream())), "INPUT_REFUSED")
