"""A stale worker changes nothing: whatever is frozen, killed or cancelled, and in whatever order, one success counts.

Checked on real storages and a real history, with attempts that stop between all their operations (`interleaving.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from typing_extensions import override

from mediajobs_dagster.attempts.measures import STAGE_LATENCY
from mediajobs_dagster.attempts.recovery import recover
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.base import JobType, Lane, Params
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Output, Plan
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.job_types.video_export.job_type import VideoExport
from mediajobs_dagster.models import AttemptStatus, Job, SubjectKind, UploadRole, new_trace_id
from mediajobs_dagster.settings import Settings
from tests.attempts.interleaving import Silent, World
from tests.clips import Clips
from tests.history.factories import an_upload
from tests.platform import Platform

OpenPlatform = Callable[..., Platform]


class Undeclared(JobType):
    """Two texts, whose keys nobody but the plan knows."""

    name: ClassVar[str] = "undeclared_v1"
    asset: ClassVar[str] = "undeclared"
    lane: ClassVar[Lane] = Lane.LIGHT
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD
    becomes: ClassVar[UploadRole | None] = None

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        # No two attempts make the same, so the content tells whose it is.
        texts = [(name, f"{name} of {material.attempt_id}".encode()) for name in ("a.txt", "b.txt")]
        folder = f"{self.asset}/{material.subject.id}"
        return Plan(
            outputs=tuple(
                Output(name, f"{folder}/{name}", "text/plain", literal=text, becomes=self.becomes)
                for name, text in texts
            )
        )


class Declared(Undeclared):
    """Two texts under keys that are known beforehand."""

    name: ClassVar[str] = "declared_v1"
    asset: ClassVar[str] = "declared"

    @override
    def output_keys(self, subject_id: str) -> tuple[str, ...]:
        return (f"{self.asset}/{subject_id}/a.txt", f"{self.asset}/{subject_id}/b.txt")


class Becoming(Declared):
    """Two texts that become uploads."""

    name: ClassVar[str] = "becoming_v1"
    asset: ClassVar[str] = "becoming"
    becomes: ClassVar[UploadRole | None] = UploadRole.EXPORT


CHEAP = (Undeclared(), Declared(), Becoming())


@pytest.fixture(params=["folder", "s3"])
def where(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings for a folder, then for a bucket; each sweep begins as soon as the last one is over."""
    on_s3: dict[str, Any] = {}
    if request.param == "s3":
        settings: Settings = request.getfixturevalue("s3_settings")
        on_s3 = settings.model_dump(exclude={"home", "scratch_dir", "database_url"})
    return on_s3 | {"sweep_interval_s": 1e-9, "max_attempts": 100, "retry_base_s": 0.0}


def interleave(platform: Platform, job: Job, seed: int) -> None:
    """Play what happens to a job by a seed; the objects of earlier jobs are removed."""
    world = World(platform.media, job, random.Random(seed))
    try:
        world.play()
        world.check_end()
    except AssertionError as error:
        error.add_note(f"seed {seed}: {'; '.join(world.trace)}")
        raise
    finally:
        world.bury()
    for stat in list(platform.storage.list(f"{platform.registry[job.job_type].asset}/")):
        platform.storage.delete(stat.key)


@pytest.mark.parametrize("job_type", CHEAP, ids=lambda each: each.name)
def test_no_interleaving_lets_a_stale_attempt_win(
    open_platform: OpenPlatform, where: dict[str, Any], job_type: JobType
) -> None:
    """Up to four attempts at a job, with recoveries, cancellations, retries and kills between any two operations."""
    platform = open_platform(registry=Registry.standard().with_types(*CHEAP), **where)
    for seed in range(3 if "s3_endpoint_url" in where else 10):
        upload = platform.history.uploads.add(an_upload(origin=None))
        (enqueued,) = platform.history.jobs.enqueue([job_type.request(upload, trace_id=new_trace_id())])
        interleave(platform, enqueued.job, seed)


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_stale_attempt_knows_that_it_is_and_removes_what_it_made(
    open_platform: OpenPlatform, where: dict[str, Any], is_cancelled: bool
) -> None:
    """It freezes between its two objects. Another attempt succeeds, or the job is cancelled; then it wakes up."""
    platform = open_platform(registry=Registry.standard().with_types(*CHEAP), **where | {"sweep_interval_s": 0})
    upload = platform.history.uploads.add(an_upload(origin=None))
    (enqueued,) = platform.history.jobs.enqueue([Undeclared().request(upload, trace_id=new_trace_id())])
    world = World(platform.media, enqueued.job, random.Random(0))
    stale = world.start_attempt()
    while not list(platform.storage.list("undeclared/")):
        stale.step()
    if is_cancelled:
        platform.history.jobs.cancel(enqueued.job.id)
    else:
        recover(platform.history, platform.settings, Silent({stale.name}), settling_s=0)
        world.start_attempt().finish()
    stale.finish()
    rows = platform.history.attempts.of_job(enqueued.job.id)
    ended = world.outcomes[rows[0].id]
    assert (ended.is_stale, ended.succeeded, ended.manifest.outputs) == (True, False, ())
    assert rows[0].status is (AttemptStatus.CANCELLED if is_cancelled else AttemptStatus.LOST)
    assert ended.status is ended.manifest.status is rows[0].status
    assert ended.error
    assert ended.error.code == ("CANCELLED" if is_cancelled else "WORKER_LOST")
    assert rows[0].result is None
    measured = [each.number for each in platform.history.series.all() if each.name == STAGE_LATENCY]
    counted = world.outcomes[rows[0 if is_cancelled else -1].id]
    assert sum(measured) == len(counted.manifest.stages), "as of a lost attempt nothing is on record, nothing counts"
    world.check_end()


@pytest.mark.parametrize("name", [Thumbnail.name, EditProxy.name, AudioEnvelope.name])
def test_it_holds_for_what_ffmpeg_makes_of_an_upload(
    open_platform: OpenPlatform, where: dict[str, Any], clips: Clips, name: str
) -> None:
    """The same with the real job types."""
    platform = open_platform(**where)
    upload = platform.add(clips.short(), name)
    interleave(platform, platform.job(upload, name), seed=len(name))


def test_it_holds_for_exports(open_platform: OpenPlatform, where: dict[str, Any], clips: Clips) -> None:
    """The upload points at the export that counts, and no other is left."""
    platform = open_platform(**where)
    source = platform.add(clips.short(), Thumbnail.name)
    platform.work()
    for key in platform.current_keys(source, Thumbnail.name):
        platform.storage.delete(key)
    document = {
        "version": "create_video_v1",
        "canvas": {"width": 160, "height": 90},
        "track": [{"kind": "clip", "source": source.id, "in": 0, "out": 0.1}],
    }
    job = platform.media.export(document).job
    assert job.job_type == VideoExport.name
    interleave(platform, job, seed=3)
