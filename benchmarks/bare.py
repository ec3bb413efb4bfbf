"""A platform to measure on, and the bare ffmpeg beside it: attempts, and their own commands again without us."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from mediajobs_dagster.attempts.batch import work_off
from mediajobs_dagster.attempts.manifest import Manifest
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.history import History
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.media.probe import probe
from mediajobs_dagster.media.run import Runner
from mediajobs_dagster.media.tools import find_tools
from mediajobs_dagster.models import AttemptStatus, Upload, UploadRole, new_id, new_trace_id, utc_now
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage, upload_source_key
from mediajobs_dagster.storage.local import LocalStorage
from mediajobs_dagster.system import MediaJobs


def make_clip(path: Path, seconds: int, *, seed: int = 0) -> Path:
    """A 1080p clip with sound that moves everywhere, at the bit rate of a phone."""
    picture = f"testsrc2=size=1920x1080:rate=30:d={seconds},hue=h={37 * seed}"
    command = [find_tools().ffmpeg, "-v", "error", "-y", "-f", "lavfi", "-i", picture]
    command += ["-f", "lavfi", "-i", f"anoisesrc=d={seconds}:c=pink:a=0.2", "-c:v", "libx264", "-preset", "ultrafast"]
    command += ["-b:v", "12M", "-pix_fmt", "yuv420p", "-c:a", "aac", "-movflags", "+faststart", path]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path


@dataclass(frozen=True)
class Attempted:
    """One attempt that succeeded."""

    seconds: float
    """Wall time from the claim to the record."""
    manifest: Manifest


@dataclass(frozen=True)
class Bench:
    """A mediajobs in a folder of its own."""

    folder: Path
    media: MediaJobs

    @property
    def settings(self) -> Settings:
        """Its settings."""
        return self.media.settings

    @property
    def history(self) -> History:
        """Its history."""
        return self.media.history

    @property
    def storage(self) -> Storage:
        """Its objects."""
        return self.media.storage

    @property
    def registry(self) -> Registry:
        """Its job types."""
        return self.media.registry

    @classmethod
    @contextmanager
    def open(cls) -> Generator[Bench]:
        """An empty one (SQLite and a local folder), gone afterwards."""
        with tempfile.TemporaryDirectory() as name, cls.at(Path(name) / "home") as bench:
            yield bench

    @classmethod
    @contextmanager
    def at(cls, home: Path) -> Generator[Bench]:
        """The one that keeps its things in `home`."""
        with MediaJobs.open(_env_file=None, home=home) as media:
            yield cls(home.parent, media)

    @staticmethod
    def root_of(storage: Storage) -> Path:
        """The folder of a local storage."""
        assert isinstance(storage, LocalStorage)
        return storage.root

    def register(self, path: Path, *, probed: bool) -> Upload:
        """Take a file in; `probed`: with its media info, as `mediajobs add` takes in a folder."""
        upload_id = new_id()
        stat = self.storage.put(path, upload_source_key(upload_id), content_type="video/mp4")
        upload = Upload(
            id=upload_id,
            role=UploadRole.SOURCE,
            storage_key=stat.key,
            filename=path.name,
            bytes=stat.bytes,
            etag=stat.etag,
            media_info=probe(Runner.from_settings(self.settings), str(path)) if probed else None,
            created_at=utc_now(),
            trace_id=new_trace_id(),
        )
        return self.history.uploads.add(upload)

    def attempt(self, job_type: JobType, upload: Upload, worker: Worker | None = None) -> Attempted:
        """Make one attempt by that worker; None: by a new one, as the first attempt of a run is made."""
        self.history.jobs.enqueue([job_type.request(upload, trace_id=new_trace_id(), force=True)])
        return self.work_next(job_type, worker)

    def work_next(self, job_type: JobType, worker: Worker | None = None) -> Attempted:
        """Make the attempt at the job of that type that waits, by that worker or a new one."""
        dispatch = self.history.leases.assign(job_type.name, limit=1, lease_s=600)
        assert dispatch is not None
        with nullcontext(worker) if worker else self.media.worker() as at_work:
            start = time.perf_counter()
            tally = work_off(at_work, job_type, dispatch.id, run_id="benchmark", listeners=Listeners())
            seconds = time.perf_counter() - start
        (outcome,) = tally.first
        assert outcome.status is AttemptStatus.SUCCESS, outcome.error
        return Attempted(seconds, outcome.manifest)

    def bare(self, upload: Upload, manifest: Manifest) -> float:
        """Run the attempt's first ffmpeg command again, as it is on record; the seconds that takes.

        That is the one which makes the output: probes and the decoding of the end are what an attempt adds.
        """
        argv = next(command.argv for command in manifest.ffmpeg_commands if command.argv[0] == "ffmpeg")
        source = self.storage.local_path(upload.storage_key)
        assert source is not None
        (self.folder / "source").unlink(missing_ok=True)
        (self.folder / "source").symlink_to(source)
        program = find_tools(self.settings.ffmpeg_path).ffmpeg
        start = time.perf_counter()
        subprocess.run(
            [program, *argv[1:]],
            cwd=self.folder,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return time.perf_counter() - start
