"""What has to hold of jobs, whatever happened to the machines that did them."""

from __future__ import annotations

from collections import Counter

from mediajobs_dagster.attempts.withdrawal import keys_of
from mediajobs_dagster.models import AttemptStatus, Job, JobStatus
from tests.cluster.cluster import Cluster


def statuses(cluster: Cluster, job: Job) -> list[AttemptStatus]:
    """How the attempts at a job ended, the first one first."""
    return [attempt.status for attempt in cluster.attempts(job)]


def assert_done_exactly_once(cluster: Cluster, jobs: list[Job]) -> None:
    """Each job completed by one attempt, the others without effect; its outputs are there."""
    assert Counter(job.status for job in jobs) == {JobStatus.COMPLETED: len(jobs)}
    for job in jobs:
        assert statuses(cluster, job).count(AttemptStatus.SUCCESS) == 1
        current = cluster.platform.history.current.of(job.job_type, job.subject_id)
        assert current is not None
        assert current.job_id == job.id
        assert keys_of(current)
        for key in keys_of(current):
            assert cluster.platform.storage.stat(key).bytes > 0
