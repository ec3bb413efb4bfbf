"""Working files: gone on every exit, and swept by the next worker where there was no exit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from mediajobs_dagster.attempts.scratch import Scratch
from mediajobs_dagster.errors import DiskFullError, SettingsError
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.models import AttemptStatus
from mediajobs_dagster.records import AttemptKey
from mediajobs_dagster.settings import Settings
from tests.clips import Clips
from tests.listeners import Watcher
from tests.platform import Platform
from tests.servers.faulty_s3 import FaultyS3

WORKER = """
import sys
from pathlib import Path
from mediajobs_dagster.attempts.scratch import Scratch

scratch = Scratch.open(Path(sys.argv[1]), reserve_mb=0)
with scratch.attempt_folder("one") as folder:
    (folder / "half_made.mp4").write_bytes(b"x" * 1000)
    scratch.link_source(folder, "fetched").write_bytes(b"y" * 1000)
    print(folder, flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_worker(root: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A worker process in the middle of an attempt, and the attempt's folder."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", WORKER, str(root)], stdin=pipe, stdout=pipe, text=True)
    assert process.stdin
    assert process.stdout
    try:
        yield process, Path(process.stdout.readline().strip())
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def open_scratch(root: Path, *, reserve_mb: int = 0) -> closing[Scratch]:
    """A worker's folder below `root`, in this process."""
    return closing(Scratch.open(root, reserve_mb=reserve_mb))


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
def test_an_attempts_folder_is_gone_afterwards(tmp_path: Path, interruption: type[BaseException]) -> None:
    """With all in it, whether the attempt ended well, failed or was interrupted."""
    with open_scratch(tmp_path) as scratch:
        with scratch.attempt_folder("well") as folder:
            (folder / "deep").mkdir()
            (folder / "deep" / "file").touch()
        assert not folder.exists()
        with pytest.raises(interruption):
            _fail_in(scratch, interruption)
        assert not list(tmp_path.rglob("attempt-*"))
    assert list(tmp_path.iterdir()) == []


def _fail_in(scratch: Scratch, error: type[BaseException]) -> None:
    with scratch.attempt_folder("badly") as folder:
        (folder / "file").touch()
        raise error


def test_two_attempts_never_share_a_folder(tmp_path: Path) -> None:
    """Nor do two workers below one root."""
    with (
        open_scratch(tmp_path) as one,
        open_scratch(tmp_path) as other,
        one.attempt_folder("a") as first,
        one.attempt_folder("b") as second,
        other.attempt_folder("a") as third,
    ):
        assert len({first, second, third}) == 3
        assert all(folder.is_dir() for folder in (first, second, third))


def test_a_killed_workers_folder_is_swept_at_the_next_start(tmp_path: Path) -> None:
    """SIGKILL leaves no time to tidy up; the kernel drops the lock, and that tells."""
    with another_worker(tmp_path) as (process, folder):
        process.kill()
        process.wait()
        assert (folder / "half_made.mp4").exists()
        with open_scratch(tmp_path):
            assert not folder.parent.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_live_workers_folder_is_left_alone(tmp_path: Path) -> None:
    """However many workers start beside it; it removes its folder itself."""
    with another_worker(tmp_path) as (process, folder):
        with open_scratch(tmp_path), open_scratch(tmp_path):
            assert (folder / "half_made.mp4").exists()
        assert folder.exists()
        process.communicate("")
    assert not folder.exists()


def test_a_removal_that_was_cut_short_is_finished(tmp_path: Path) -> None:
    """The lock may have been the first file to go."""
    orphan = tmp_path / "worker-dead"
    (orphan / "sources").mkdir(parents=True)
    (orphan / "sources" / "large").touch()
    with open_scratch(tmp_path):
        assert not orphan.exists()


def test_strange_files_are_left_alone(tmp_path: Path) -> None:
    """A scratch folder that was pointed at the wrong place loses nothing."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "notes.txt").touch()
    with open_scratch(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"thesis", "notes.txt"}


def test_a_scratch_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    """The message says which setting to change."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="MEDIAJOBS_SCRATCH_DIR"):
        Scratch.open(tmp_path / "file", reserve_mb=0)


def test_a_job_must_leave_the_reserve_free(tmp_path: Path) -> None:
    """What is asked for fits, or is refused with the figures."""
    with open_scratch(tmp_path, reserve_mb=1) as scratch:
        scratch.require(1, "nothing much")
        with pytest.raises(DiskFullError, match=r"making it .*1 MiB to be left over"):
            scratch.require(2**60, "making it")


class Peeks(Watcher):
    """Notes which files lie in scratch when ffmpeg starts."""

    def __init__(self, scratch: Path) -> None:
        self._scratch, self.seen = scratch, list[set[str]]()

    def stage(self, key: AttemptKey, name: str) -> None:
        if name == "ffmpeg":
            self.seen.append(
                {path.parent.name.partition("-")[0] for path in self._scratch.rglob("*") if path.is_file()}
            )


def test_a_source_on_s3_is_fetched_once_for_all_jobs_of_a_worker(
    open_platform: Callable[..., Platform], s3_settings: Settings, faulty_s3: FaultyS3, clips: Clips
) -> None:
    """Two jobs, one GET at the server, one `get` in the manifests; afterwards nothing is left."""
    settings = faulty_s3.settings(s3_settings).model_dump(exclude={"home", "scratch_dir", "database_url"})
    platform = open_platform(**settings)
    upload = platform.add(clips.landscape(), EditProxy.name, AudioEnvelope.name)
    peeks = Peeks(platform.settings.scratch)
    before = len(faulty_s3.requests)
    outcomes = platform.work(peeks)
    assert [outcome.status for outcome in outcomes] == [AttemptStatus.SUCCESS] * 2

    gets = [path for method, path in faulty_s3.requests[before:] if method == "GET" and upload.storage_key in path]
    assert len(gets) == 1
    ops = [op.op for outcome in outcomes for op in outcome.manifest.s3_ops if op.key == upload.storage_key]
    assert ops.count("get") == 1
    assert len(peeks.seen) == 2
    assert all("sources" in seen for seen in peeks.seen)
    assert platform.leftovers() == []
    assert list(platform.settings.scratch.iterdir()) == []


def test_a_source_on_this_machine_is_not_copied(platform: Platform, clips: Clips) -> None:
    """The local storage's own file is linked into the attempt's folder."""
    platform.add(clips.landscape(), EditProxy.name)
    peeks = Peeks(platform.settings.scratch)
    (outcome,) = platform.work(peeks)
    assert outcome.manifest.metrics.s3_bytes_in == 0
    (seen,) = peeks.seen
    assert "attempt" in seen
    assert "sources" not in seen
