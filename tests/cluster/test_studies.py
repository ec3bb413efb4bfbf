"""A batch of addresses of talks, of which study guides are made by two workers; one of them dies in the middle."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mediajobs_dagster.attempts.withdrawal import keys_of
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.history.job_log import JobLogger
from mediajobs_dagster.job_types.ingest_video.job_type import IngestVideo
from mediajobs_dagster.job_types.study_guide.job_type import StudyGuide
from mediajobs_dagster.job_types.transcript.job_type import TranscriptJob
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.models import Attempt, AttemptStatus, Job, JobStatus, JsonObject, Video, new_trace_id
from mediajobs_dagster.storage.keys import attempt_of
from tests.cluster.cluster import SCRIPTS, Cluster
from tests.cluster.talks import TOPICS, TalkSite, make_talks, running_talks

INGEST, TRANSCRIPT, GUIDE = IngestVideo.name, TranscriptJob.name, StudyGuide.name
SLOW = TOPICS[len(TOPICS) // 2]

pytestmark = pytest.mark.timeout(600)  # many waits, long over on most machines


def run(cluster: Cluster, name: str, *arguments: str, **environment: str) -> None:
    """Carry out a command of mediajobs; it has to succeed."""
    process = cluster.start(name, str(SCRIPTS / "mediajobs"), *arguments, **environment)
    assert process.popen.wait(300) == 0, process.tail()


def of_type(jobs: list[Job], job_type: str) -> list[Job]:
    """Those of a type."""
    return [job for job in jobs if job.job_type == job_type]


def at_work_on(cluster: Cluster, trace_id: str, address: str) -> Attempt:
    """The attempt that fetches from an address now."""
    (video,) = (each for each in videos(cluster, trace_id).values() if each.address == address)
    (job,) = (each for each in of_type(cluster.jobs(trace_id), INGEST) if each.subject_id == video.id)
    (attempt,) = cluster.attempts(job)
    assert attempt.status is AttemptStatus.RUNNING
    return attempt


def videos(cluster: Cluster, trace_id: str) -> dict[str, Video]:
    """The videos of a trace, by their ids."""
    asked = of_type(cluster.jobs(trace_id), INGEST)
    return {job.subject_id: cluster.platform.history.videos.get(job.subject_id) for job in asked}


def test_thirty_study_guides_survive_the_loss_of_a_machine(cluster: Cluster, tools: Tools, tmp_path: Path) -> None:
    """One of two workers dies in mid-download: each talk has one guide, and nothing of what was lost stays behind."""
    log, out, trace_id = JobLogger(cluster.folder / "studies.json"), tmp_path / "out", new_trace_id()
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

        cluster.wait_for(under_way, timeout_s=120)
        lost = at_work_on(cluster, trace_id, talks.address_of(SLOW))
        cluster.workers[lost.host].kill()
        assert asking.popen.wait(300) == 0, asking.tail()
    jobs = cluster.wait_for_all(trace_id, timeout_s=90)
    print(Counter((job.job_type, job.status) for job in jobs))
