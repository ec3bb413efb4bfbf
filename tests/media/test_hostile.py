"""Uploaded scripts and playlists make ffmpeg and ffprobe open nothing: no host, no other file."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mediajobs_dagster.errors import InputError, InputNotMediaError, InputRefusedError, InputTooLargeError
from mediajobs_dagster.media.command import Command, Input, Output
from mediajobs_dagster.media.probe import probe
from mediajobs_dagster.media.process import Limits
from mediajobs_dagster.media.run import Runner
from tests.clips import Clips
from tests.media.conftest import Records, decode_all
from tests.media.web import Web, serve

SCRIPTS = {
    "playlist": (Clips.hls_playlist_named_mp4, InputRefusedError),
    "concat": (Clips.concat_script_named_mp4, InputRefusedError),
    "session": (Clips.session_description_named_mp4, InputRefusedError),
    # Not every ffmpeg is built with its DASH reader; one without it sees plain text.
    "dash": (Clips.dash_manifest_named_mp4, (InputRefusedError, InputNotMediaError)),
}
COPY = Output("out.mkv", ("-c", "copy"))


@pytest.fixture(params=sorted(SCRIPTS))
def script(request: pytest.FixtureRequest, clips: Clips) -> tuple[Callable[[str], Path], type[InputError]]:
    """Makes a script that points at a target, and the error that refuses it."""
    make, error = SCRIPTS[request.param]
    return lambda target: make(clips, target), error


@pytest.mark.parametrize("name", ["source", "upload.mp4", "upload.m3u8"])
def test_a_script_reaches_no_host(script, name: str, runner: Runner, records: Records, tmp_path: Path) -> None:
    """A listener on loopback counts no connection, whatever name the script was stored under."""
    make, error = script
    with serve(Web()) as web:
        shutil.copy(make(f"{web.base}/clip.mp4"), tmp_path / name)
        with pytest.raises(error):
            probe(runner, name, cwd=tmp_path, report=records)
        with pytest.raises(error):
            runner.run(Command((Input(name),), (COPY,)), cwd=tmp_path, report=records)
        assert web.asked == []
    assert not (tmp_path / "out.mkv").exists()


def test_a_script_reaches_no_other_file(script, runner: Runner, clips: Clips, records: Records, tmp_path: Path) -> None:
    """A script beside a real clip does not get at it, by its name or by its full path."""
    make, error = script
    shutil.copy(clips.transport_stream(), tmp_path / "secret.ts")
    for target in ("secret.ts", str(tmp_path / "secret.ts")):
        shutil.copy(make(target), tmp_path / "source")
        with pytest.raises(error):
            runner.run(Command((Input("source"),), (COPY,)), cwd=tmp_path, report=records)
        assert not (tmp_path / "out.mkv").exists()
        assert "secret.ts" not in records.commands[-1].stderr_tail


def test_the_scripts_are_dangerous_without_the_guards(
    runner: Runner, clips: Clips, records: Records, tmp_path: Path
) -> None:
    """The same concat script makes an unguarded ffmpeg read another file: the tests above prove something."""
    shutil.copy(clips.transport_stream(), tmp_path / "secret.ts")
    shutil.copy(clips.concat_script_named_mp4("secret.ts"), tmp_path / "source")
    bare = [runner.tools.ffmpeg, "-v", "error", "-i", "source", "-c", "copy", "out.mkv"]
    subprocess.run(bare, cwd=tmp_path, check=True, stdin=subprocess.DEVNULL)
    assert (tmp_path / "out.mkv").stat().st_size > 100_000


def test_a_remote_playlist_reaches_no_further(runner: Runner, clips: Clips, records: Records) -> None:
    """An object that turns out to be a playlist is read itself, and nothing that it names."""
    with serve(Web(content_type="application/vnd.apple.mpegurl")) as web:
        web.files["/list.m3u8"] = clips.hls_playlist_named_mp4(f"{web.base}/clip.ts")
        web.files["/clip.ts"] = clips.transport_stream()
        with pytest.raises(InputRefusedError):
            probe(runner, web.address("/list.m3u8"), report=records)
        assert set(web.asked) == {"/list.m3u8"}


def test_an_absurd_picture_is_refused(runner: Runner, clips: Clips, records: Records) -> None:
    """A file that declares 100,000 x 100,000 pixels is INPUT_TOO_LARGE, and nobody sets memory aside for it."""
    limited = replace(runner, limits=Limits(memory_mb=400))
    with pytest.raises(InputTooLargeError):
        probe(limited, str(clips.huge_declared_size()), report=records)
    assert (records.only.max_rss_mb or 0) < 400


def test_a_picture_above_the_limit_is_refused(runner: Runner, clips: Clips, records: Records) -> None:
    """The limit is the runner's, not ffmpeg's own."""
    small = replace(runner, guards=replace(runner.guards, max_pixels=640 * 359))
    with pytest.raises(InputTooLargeError):
        probe(small, str(clips.landscape()), report=records)
    with pytest.raises(InputTooLargeError):
        small.run(decode_all(clips.landscape().name), cwd=clips.folder, report=records)
