"""Working files: gone on every exit, and swept by the next worker where there was no exit."""

from __future__ import annotations

import errno
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from mediajobs_dagster.attempts.scratch import Scratch, ScratchSweeper, sweep
from mediajobs_dagster.errors import DiskFullError, SettingsError
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.media.command import general_guards
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.models import AttemptStatus, utc_now
from mediajobs_dagster.records import AttemptKey
from mediajobs_dagster.resilience.retention import Removed
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage.whole_file import whole_file
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


def open_scratch(root: Path, **limits: int) -> closing[Scratch]:
    """A worker's folder below `root`, in this process."""
    return closing(Scratch.open(root, **{"reserve_mb": 0} | limits))


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


def test_what_works_on_in_a_killed_workers_folder_is_ended(tmp_path: Path, tools: Tools) -> None:
    """Its ffmpeg would fill the disk under a folder that is gone. Nobody else's, and nothing that is not ours, is."""
    encode = ("-nostdin", "-re", "-f", "lavfi", "-i", "testsrc2=duration=3600", "-f", "null", "-")
    ours = [str(tools.ffmpeg), *general_guards(verbose=False), *encode]
    with another_worker(tmp_path) as (dead, folder), another_worker(tmp_path) as (_, busy), ExitStack() as stack:

        def start(command: list[str], cwd: Path) -> subprocess.Popen[bytes]:
            # In a session of its own, for it is ended with its process group.
            started = subprocess.Popen(command, cwd=cwd, start_new_session=True, stderr=subprocess.DEVNULL)
            stack.callback(started.wait)
            stack.callback(started.kill)
            return started

        orphan, shell, other = start(ours, folder), start(["sleep", "600"], folder), start(ours, busy)
        dead.kill()
        dead.wait()
        assert sweep(tmp_path) == 1
        assert orphan.wait(60) == -signal.SIGKILL
        assert (shell.poll(), other.poll()) == (None, None)
        assert not folder.exists()


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


def test_the_clean_up_removes_what_dead_workers_left(tmp_path: Path) -> None:
    """And tells how much that was: a source that was fetched counts once, and one that is only linked not at all."""
    sweeper = ScratchSweeper(tmp_path / "scratch")
    (tmp_path / "upload.mp4").write_bytes(b"z" * 5000)

    def swept(*, dry_run: bool) -> list[Removed]:
        return list(sweeper.sweep("scratch", utc_now(), dry_run=dry_run))

    with another_worker(sweeper.root) as (process, folder), another_worker(sweeper.root) as (_, busy):
        assert swept(dry_run=False) == [Removed(kind="scratch", rows=0, bytes=0)]
        (folder / "linked").symlink_to(tmp_path / "upload.mp4")
        process.kill()
        process.wait()
        assert swept(dry_run=True) == [Removed(kind="scratch", rows=1, bytes=2000)]
        assert folder.exists()
        assert swept(dry_run=False) == [Removed(kind="scratch", rows=1, bytes=2000)]
        assert not folder.parent.exists()
        assert busy.exists()
    assert (tmp_path / "upload.mp4").exists()


def test_strange_files_are_left_alone(tmp_path: Path) -> None:
    """A scratch folder that was pointed at the wrong place loses nothing."""
    (tmp_path / "thesis").mkdir()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "worker-notes.txt").touch()
    assert sweep(tmp_path) == 0
    with open_scratch(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"thesis", "notes.txt", "worker-notes.txt"}


def test_nothing_of_a_worker_stays_open(tmp_path: Path) -> None:
    """Neither its own lock, which is for this user alone, nor those of the folders that it swept."""
    before = psutil.Process().num_fds()
    (tmp_path / "worker-dead").mkdir()
    with open_scratch(tmp_path):
        (lock,) = tmp_path.glob("worker-*/.lock")
        assert lock.stat().st_mode & 0o077 == 0
    assert psutil.Process().num_fds() == before


def test_a_folder_that_somebody_else_removed_is_no_fault(tmp_path: Path) -> None:
    """An attempt's, or the worker's whole."""
    with open_scratch(tmp_path) as scratch:
        with scratch.attempt_folder("one") as folder:
            folder.rmdir()
        shutil.rmtree(folder.parent)


def test_a_scratch_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    """The message says which setting to change."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="MEDIAJOBS_SCRATCH_DIR"):
        Scratch.open(tmp_path / "file", reserve_mb=0)


def test_a_job_must_leave_the_reserve_free(tmp_path: Path) -> None:
    """What is asked for fits, or is refused with the figures."""
    with open_scratch(tmp_path, reserve_mb=1) as scratch:
        scratch.require(1, "nothing much")
        with pytest.raises(DiskFullError, match=r"making it .*1 MiB staying free"):
            scratch.require(2**60, "making it")


def test_only_idle_sources_make_room(tmp_path: Path) -> None:
    """But not one that an attempt needs, nor one that is being fetched just now."""
    with open_scratch(tmp_path, idle_mb=1) as scratch, scratch.attempt_folder("at_work") as folder:
        with scratch.attempt_folder("done") as gone:
            idle = scratch.link_source(gone, "idle")
            idle.write_bytes(b"x")
        needed = [scratch.link_source(folder, name, f"source_{name}") for name in ("one", "other")]
        for path in needed:
            path.touch()
        with whole_file(scratch.link_source(folder, "fetched")) as partial:
            partial.touch()
            scratch.require(1, "nothing much")
            assert idle.exists()
            with pytest.raises(DiskFullError):
                scratch.require(2**60, "making it")
            assert not idle.exists()
            assert partial.exists()
            assert all(path.exists() for path in needed)


def test_what_fits_to_the_byte_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a byte more does not, of which the figures tell; nothing that is idle goes before it has to."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10 << 20))
    with open_scratch(tmp_path, reserve_mb=4, idle_mb=1) as scratch:
        with scratch.attempt_folder("done") as gone:
            idle = scratch.link_source(gone, "idle")
            idle.write_bytes(b"x")
        scratch.require(6 << 20, "making it")
        assert idle.exists()
        with pytest.raises(DiskFullError, match="has 10 MiB free, and making it needs 6 MiB with 4 MiB"):
            scratch.require((6 << 20) + 1, "making it")
        assert not idle.exists()
    with (
        open_scratch(tmp_path, reserve_mb=10) as scratch,
        pytest.raises(DiskFullError, match="making it needs 1 MiB with 10 MiB"),
    ):
        scratch.require(1 << 20, "making it")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_without_room_for_a_folder_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """No setting is at fault then, and the job is tried again."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, "refused")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DiskFullError):
        Scratch.open(tmp_path, reserve_mb=0)


def use(scratch: Scratch, folder: Path, name: str) -> None:
    """What an attempt does with a source that has to be fetched; this one has a MiB."""
    path = scratch.link_source(folder, name)
    if not path.exists():
        path.write_bytes(b"x" * 2**20)


def fetched(root: Path) -> set[str]:
    """The fetched sources that lie below `root`."""
    return {path.name for path in root.glob("worker-*/sources/*")}


def test_a_source_goes_with_the_last_attempt_that_uses_it(tmp_path: Path) -> None:
    """Where nothing may lie idle: attempts side by side share it, and it is gone when all of them are over."""
    with open_scratch(tmp_path, idle_mb=0) as scratch:
        with scratch.attempt_folder("a") as first:
            use(scratch, first, "shared")
            with scratch.attempt_folder("b") as second:
                use(scratch, second, "shared")
            assert fetched(tmp_path) == {"shared"}
        assert fetched(tmp_path) == set()


def test_idle_sources_take_their_share_of_the_disk_and_no_more(tmp_path: Path) -> None:
    """The longest idle goes first, and one that is used again is young. What is in use stays however much there is."""
    with open_scratch(tmp_path, idle_mb=2) as scratch:
        for name in ("one", "two", "one", "three"):
            with scratch.attempt_folder(name) as folder:
                use(scratch, folder, name)
        assert fetched(tmp_path) == {"one", "three"}
        with scratch.attempt_folder("a") as folder:
            use(scratch, folder, "four")
            assert fetched(tmp_path) == {"one", "three", "four"}


def test_a_source_that_was_not_fetched_takes_no_room(tmp_path: Path) -> None:
    """Neither the one that is not there, nor an empty file."""
    with open_scratch(tmp_path, idle_mb=1) as scratch:
        with scratch.attempt_folder("a") as folder:
            use(scratch, folder, "one")
        with scratch.attempt_folder("b") as folder:
            scratch.link_source(folder, "absent", "source_absent")
            scratch.link_source(folder, "empty", "source_empty").touch()
        assert fetched(tmp_path) == {"one"}


def test_an_idle_source_that_somebody_else_removed_is_no_fault(tmp_path: Path) -> None:
    """There is room for others then."""
    with open_scratch(tmp_path, idle_mb=1) as scratch:
        for name in ("one", "two"):
            with scratch.attempt_folder(name) as folder:
                use(scratch, folder, name)
            next(tmp_path.glob(f"worker-*/sources/{name}")).unlink()
        with scratch.attempt_folder("three") as folder:
            use(scratch, folder, "three")
        assert fetched(tmp_path) == {"three"}


def test_idle_sources_make_room_for_what_is_asked_for(tmp_path: Path) -> None:
    """Before a job is refused for want of disk, all of them go, and none that is in use."""
    with open_scratch(tmp_path, idle_mb=100) as scratch, scratch.attempt_folder("a") as folder:
        use(scratch, folder, "used")
        with scratch.attempt_folder("b") as other:
            use(scratch, other, "idle")
        assert fetched(tmp_path) == {"used", "idle"}
        with pytest.raises(DiskFullError):
            scratch.require(2**60, "making it")
        assert fetched(tmp_path) == {"used"}


def test_the_sources_of_a_run_do_not_pile_up(
    open_platform: Callable[..., Platform], s3_settings: Settings, clips: Clips
) -> None:
    """Envelopes of several uploads in one run: while one is made, the sources of those before are gone."""
    on_s3 = s3_settings.model_dump(exclude={"home", "scratch_dir", "database_url"})
    platform = open_platform(**on_s3 | {"scratch_idle_mb": 0, "concurrency": 1})
    for path in (clips.landscape(), clips.surround(), clips.two_audio_tracks(), clips.rotated_portrait()):
        platform.add(path, AudioEnvelope.name)
    counts = CountsSources(platform.settings.scratch)
    outcomes = platform.work(counts)
    assert [outcome.status for outcome in outcomes] == [AttemptStatus.SUCCESS] * 4
    assert counts.seen == [1, 1, 1, 1]


class CountsSources(Watcher):
    """Notes how many fetched sources lie in scratch when ffmpeg starts."""

    def __init__(self, scratch: Path) -> None:
        self._scratch, self.seen = scratch, list[int]()

    def stage(self, key: AttemptKey, name: str) -> None:
        if name == "ffmpeg":
            self.seen.append(len(fetched(self._scratch)))


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
    """The local storage's own file is linked into the attempt's folder, and read there: that counts as read."""
    upload = platform.add(clips.landscape(), EditProxy.name)
    peeks = Peeks(platform.settings.scratch)
    (outcome,) = platform.work(peeks)
    assert [op.bytes for op in outcome.manifest.s3_ops if op.op == "get"] == []
    assert outcome.manifest.metrics.s3_bytes_in == upload.bytes
    (seen,) = peeks.seen
    assert "attempt" in seen
    assert "sources" not in seen
