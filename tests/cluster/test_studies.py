"""A batch of addresses of talks, of which study guides are made by two workers; one of them dies in the middle."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from mediajobs_dagster.attempts.withdrawal import keys_of
from mediajobs_dagster.history.job_log import JobLogger
from mediajobs_dagster.job_types.audio_envelope import AudioEnvelope
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.ingest_video.job_type import IngestVideo
from mediajobs_dagster.job_types.study_guide.job_type import StudyGuide
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.job_types.transcript.job_type import TranscriptJob
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.models import Attempt, AttemptStatus, Job, JobStatus, JsonObject, Video, new_trace_id
from mediajobs_dagster.storage.keys import attempt_of
from tests.cluster.checks import assert_done_exactly_once
from tests.cluster.cluster import SCRIPTS, Cluster
from tests.cluster.talks import FILMED, TOPICS, TalkSite, make_talks, running_talks

INGEST, GUIDE = IngestVideo.name, StudyGuide.name
OF_EACH = (INGEST, TranscriptJob.name, GUIDE, AudioEnvelope.name)
OF_PICTURES = (EditProxy.name, Thumbnail.name)
SLOW = TOPICS[len(TOPICS) // 2]

pytestmark = pytest.mark.timeout(600)  # many waits, long over on most machines


def of_type(jobs: Iterable[Job], job_type: str) -> list[Job]:
    """Those of a type."""
    return [job for job in jobs if job.job_type == job_type]


def fetched(cluster: Cluster, trace_id: str) -> dict[str, tuple[Video, Job]]:
    """The video at each address, and the job that fetches it."""
    asked = of_type(cluster.jobs(trace_id), INGEST)
    found = [(cluster.platform.history.videos.get(job.subject_id), job) for job in asked]
    return {video.address: (video, job) for video, job in found}


def test_thirty_study_guides_survive_the_loss_of_a_machine(cluster: Cluster, tools: Tools, tmp_path: Path) -> None:
    """A worker dies in mid-download and comes back: each talk has one guide, and nothing is lost or left behind."""
    log, out, trace_id = JobLogger(tmp_path / "log.json"), tmp_path / "out", new_trace_id()
    with running_talks(make_talks(tmp_path, tools), slow=SLOW) as talks:
        own = {
            "MEDIAJOBS_PRIVATE_ADDRESSES": "127.0.0.0/8",
            "MEDIAJOBS_INGEST_PER_MINUTE": "60000",
            "MEDIAJOBS_JOB_LOG": str(log.path),
            "NO_PROXY": "127.0.0.1",
        }
        for name in ("alpha", "beta"):
            cluster.start_worker(name, **own)
        wanted = ["study", *talks.addresses, "--subject", "Nature", "--trace", trace_id, "--out", str(out)]
        asking = cluster.start("study", str(SCRIPTS / "mediajobs"), *wanted, **own)

        def under_way() -> bool:
            guides = of_type(cluster.jobs(trace_id), GUIDE)
            return talks.begun.is_set() and any(job.status is JobStatus.COMPLETED for job in guides)

        cluster.wait_for(under_way, timeout_s=180)
        _, job = fetched(cluster, trace_id)[talks.address_of(SLOW)]
        (lost,) = cluster.attempts(job)
        assert lost.host
        cluster.workers[lost.host].kill()
        killed_at = cluster.platform.history.now()
        assert len(of_type(cluster.jobs(trace_id), GUIDE)) < len(TOPICS)
        cluster.start_worker(lost.host, **own)
        assert asking.popen.wait(300) == 0, asking.tail()
    jobs = cluster.wait_for_all(trace_id, timeout_s=180)
    for name in ("alpha", "beta"):
        cluster.workers[name].stop(timeout_s=60)

    attempts = [attempt for job in jobs for attempt in cluster.attempts(job)]
    assert [each.error_code for each in attempts if each.id == lost.id] == ["WORKER_LOST"]
    assert any(each.host == lost.host and each.started_at > killed_at for each in attempts)
    of_all = Counter(job.job_type for job in jobs)
    assert of_all == {**dict.fromkeys(OF_EACH, len(TOPICS)), **dict.fromkeys(OF_PICTURES, len(FILMED))}
    assert_done_exactly_once(cluster, jobs)
    assert_guides_are_of_their_talks(cluster, trace_id, out)
    assert_fetched_as_often_as_attempted(cluster, trace_id, talks)
    assert_nothing_left_in_storage(cluster, attempts)
    assert_nothing_left_in_scratch(cluster, trace_id, attempts)
    assert_log_adds_up(cluster, trace_id, log, jobs)


def assert_guides_are_of_their_talks(cluster: Cluster, trace_id: str, out: Path) -> None:
    """Each talk has one, made of one upload, and it is about that talk; the files that were asked for are there."""
    guides = cluster.platform.media.studies.guides(trace_id)
    assert sorted(guide.title for guide in guides) == [f"{topic}.mp4" for topic in TOPICS]
    assert len({guide.job.subject_id for guide in guides}) == len(TOPICS)
    assert all(guide.is_there and len(guide.keys) == 4 for guide in guides)
    for topic in TOPICS:
        notes = (out / "Nature" / f"{topic}.md").read_text()
        assert [each for each in TOPICS if each in notes.lower()] == [topic]
    assert len([path for path in out.rglob("*") if path.is_file()]) == 4 * len(TOPICS)


def assert_fetched_as_often_as_attempted(cluster: Cluster, trace_id: str, talks: TalkSite) -> None:
    """One request an attempt; of those that were lost, some may have died before they asked."""
    for topic in TOPICS:
        _, job = fetched(cluster, trace_id)[talks.address_of(topic)]
        attempts = cluster.attempts(job)
        were_lost = sum(each.status is AttemptStatus.LOST for each in attempts)
        assert len(attempts) - were_lost <= talks.asked(topic) <= len(attempts)
    assert talks.asked(SLOW) >= 2


def assert_nothing_left_in_storage(cluster: Cluster, attempts: list[Attempt]) -> None:
    """Once the storage was looked through, as the daemon does, all that is there is named by a success."""
    ours = {attempt.id for attempt in attempts}
    named = {key for attempt in attempts if attempt.status is AttemptStatus.SUCCESS for key in keys_of(attempt)}

    def there() -> set[str]:
        return {each.key for each in cluster.platform.storage.walk() if attempt_of(each.key) in ours}

    assert named <= there()

    def is_swept() -> bool:
        cluster.platform.media.sweep_storage()
        return there() == named

    cluster.wait_for(is_swept, timeout_s=60)


def assert_nothing_left_in_scratch(cluster: Cluster, trace_id: str, attempts: list[Attempt]) -> None:
    """But for what came in of videos before the machine died, with which it would have gone on."""
    lost = {attempt.job_id for attempt in attempts if attempt.status is AttemptStatus.LOST}
    begun = {video.id for video, job in fetched(cluster, trace_id).values() if job.id in lost}
    homes = [cluster.folder / name for name in ("alpha", "beta")]  # other tests have workers that died with theirs
    left = {path.parent for home in homes for path in home.glob("scratch/**/*") if path.is_file()}
    assert {path.name for path in left} <= begun, left
    assert cluster.ffmpegs() == []


def assert_log_adds_up(cluster: Cluster, trace_id: str, log: JobLogger, jobs: list[Job]) -> None:
    """Both workers wrote to it; it has each job once, and says what the history says."""
    logged = log.get_all_jobs()
    assert Counter((each["job_type"], each["success"]) for each in logged) == Counter(
        (each.job_type, True) for each in jobs
    )
    assert {entry["worker_id"] for entry in logged} == {"alpha", "beta"}
    exported = log.path.with_name("exported.json")
    command = ["history", "export", "--format", "job-log", "--trace", trace_id, "--output", str(exported)]
    process = cluster.start("export", str(SCRIPTS / "mediajobs"), *command)
    assert process.popen.wait(60) == 0, process.tail()
    assert by_job(logged) == by_job(JobLogger(exported).get_all_jobs())


def by_job(entries: list[JsonObject]) -> dict[str, str]:
    """The entries as text, without the moment at which they were written."""
    found = {entry["job_id"]: json.dumps(entry | {"logged_at": None}) for entry in entries}
    assert len(found) == len(entries)
    return found
