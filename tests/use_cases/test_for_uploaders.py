"""What uploaders are told."""

from __future__ import annotations

import re

import pytest

from mediajobs_dagster.errors import MediaJobsError, all_errors
from mediajobs_dagster.models import JobStatus
from mediajobs_dagster.use_cases.why.for_uploaders import OURS, WORDS, words_of_error, words_of_job
from tests.resilience.test_retry import a_job

_INTERNAL = re.compile(r"ffmpeg|database|server|disk|worker|memory|mediajobs|[A-Z]{2,}_[A-Z]+|\bjob\b", re.IGNORECASE)
OWN = [kind for kind in all_errors() if kind.__module__ == MediaJobsError.__module__]


@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.code)
def test_every_error_has_words_or_inherits_them_and_tells_nothing_internal(kind: type[MediaJobsError]) -> None:
    """A sentence or two; a fault of ours says that it is ours, and one of the input does not."""
    said = words_of_error(kind)
    assert re.fullmatch(r"([A-Z][^.]+\. ?){1,2}", said), said
    assert not _INTERNAL.search(said), said
    is_ours = kind.blame.concerns_operators
    assert is_ours == ("our side" in said or "service" in said), (kind, said)


def test_every_error_that_has_words_of_its_own_is_one_of_ours() -> None:
    assert set(WORDS) <= set(OWN)


@pytest.mark.parametrize("status", list(JobStatus))
def test_every_status_has_words(status: JobStatus) -> None:
    """Of a job that is tried again, that too; an error of another package is ours."""
    job = a_job(1).model_copy(update={"status": status, "error_code": "OF_ANOTHER_PACKAGE"})
    said = words_of_job(job)
    assert said.endswith(".")
    assert said.startswith(OURS) == (status in (JobStatus.FAILED, JobStatus.DEAD))
    assert said.endswith("We will try again.") == (status is JobStatus.FAILED)


def test_what_was_skipped_for_want_of_quota_is_not_told_as_done() -> None:
    """Any other skipped job has its output already."""
    skipped = a_job(1).model_copy(update={"status": JobStatus.SKIPPED, "error_code": "QUOTA_EXHAUSTED"})
    assert "daily limit" in words_of_job(skipped)
    assert words_of_job(skipped.model_copy(update={"error_code": None})) == "This is done."
