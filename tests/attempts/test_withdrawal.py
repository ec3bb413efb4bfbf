"""Which outputs stand, which are up to date, and which are removed because no success names them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mediajobs_dagster.attempts.freshness import fresh_outputs, standing_keys
from mediajobs_dagster.attempts.spool import End
from mediajobs_dagster.attempts.withdrawal import keys_of, remove_replaced, upload_keys, uploads_of, withdraw
from mediajobs_dagster.history import Claim
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import Attempt, AttemptStatus, Job, JobStatus, new_id, new_trace_id
from mediajobs_dagster.storage import attempt_key
from tests.attempts.test_fencing import Becoming, Declared, Undeclared
from tests.history.factories import an_upload, claimed, ended
from tests.platform import Platform


@pytest.fixture
def platform(open_platform: Callable[..., Platform]) -> Platform:
    """A platform whose jobs only write texts."""
    return open_platform(registry=Registry([Declared(), Becoming()]), offers=("none",))


def made(platform: Platform, job_type: Undeclared, times: int) -> list[tuple[Job, Attempt]]:
    """So many jobs on one upload, one after the other, and their attempts."""
    upload = platform.history.uploads.add(an_upload(origin=None))
    found: list[tuple[Job, Attempt]] = []
    for _ in range(times):
        request = job_type.request(upload, trace_id=new_trace_id(), anew=True, force=True)
        (enqueued,) = platform.history.jobs.enqueue([request])
        (outcome,) = platform.work()
        found.append((enqueued.job, platform.history.attempts.get(outcome.attempt_id)))
    return found


def there(platform: Platform) -> set[str]:
    """The keys of all objects."""
    return {stat.key for stat in platform.storage.list("")}


def test_outputs_are_up_to_date_while_they_are_as_they_were_made(platform: Platform) -> None:
    """By the same recipe, all of them, and whole."""
    history, storage = platform.history, platform.storage
    assert fresh_outputs(history, storage, Declared.name, "nosuch", "f") is None
    [(job, attempt)] = made(platform, Declared(), 1)
    assert attempt.result is not None
    subject_id, fingerprint = job.subject_id, attempt.result["fingerprint"]
    found = fresh_outputs(history, storage, Declared.name, subject_id, fingerprint)
    assert found is not None
    assert [each.to_json() for each in found] == attempt.result["outputs"]
    assert fresh_outputs(history, storage, Declared.name, subject_id, "another") is None
    platform.output(found[0].key).write_text("cut")
    assert fresh_outputs(history, storage, Declared.name, subject_id, fingerprint) is None
    storage.delete(found[0].key)
    assert fresh_outputs(history, storage, Declared.name, subject_id, fingerprint) is None
    bare = claimed(history, job_type=Declared.name)
    End(attempt=ended(bare), job_status=JobStatus.COMPLETED).record(history)
    assert fresh_outputs(history, storage, Declared.name, bare.job.subject_id, fingerprint) is None


def test_outputs_stand_until_a_newer_success_replaces_them(platform: Platform) -> None:
    """Its own are where they were; of the job before, they are those of the newer one. A failure has none."""
    (old, first), (new, second) = made(platform, Declared(), 2)
    assert len(keys_of(second)) == 2
    assert standing_keys(second, new, platform.history) == keys_of(second)
    assert standing_keys(first, old, platform.history) == keys_of(second)
    assert standing_keys(first.model_copy(update={"result": None}), old, platform.history) == []
    assert there(platform) == set(keys_of(second))
    assert uploads_of(first, platform.history) == []


def test_what_became_an_upload_stays_whatever_replaces_it(platform: Platform) -> None:
    """It is somebody's file now."""
    (old, first), (_, second) = made(platform, Becoming(), 2)
    assert {upload.storage_key for upload in uploads_of(first, platform.history)} == set(keys_of(first))
    assert upload_keys(first, platform.history) == set(keys_of(first))
    assert standing_keys(first, old, platform.history) == keys_of(first)
    assert there(platform) == {*keys_of(first), *keys_of(second)}


def test_an_upload_that_is_made_again_has_its_new_object_alone(platform: Platform) -> None:
    """The one of the attempt before is of no use any more."""
    [(job, first)] = made(platform, Becoming(), 1)
    platform.storage.delete(keys_of(first)[0])
    platform.history.jobs.retry(job.id)
    (outcome,) = platform.work()
    second = platform.history.attempts.get(outcome.attempt_id)
    assert upload_keys(first, platform.history) == upload_keys(second, platform.history) == set(keys_of(second))
    assert there(platform) == set(keys_of(second))


def test_what_an_attempt_made_beside_an_upload_stays_with_it(platform: Platform) -> None:
    """Such as subtitles; without the upload it is as all that was replaced."""
    [(_, attempt)] = made(platform, Becoming(), 1)
    beside = {"key": attempt_key("becoming/beside.txt", attempt.id), "bytes": 1, "sha256": "f" * 64}
    outputs = [*(attempt.result or {})["outputs"], beside]
    attempt = attempt.model_copy(update={"result": {"outputs": outputs}})
    assert upload_keys(attempt, platform.history) == set(keys_of(attempt))
    alone = attempt.model_copy(update={"result": {"outputs": [beside]}})
    assert upload_keys(alone, platform.history) == set()


def test_what_cannot_be_looked_up_is_left_to_the_sweep(platform: Platform, caplog: pytest.LogCaptureFixture) -> None:
    """An attempt that is not on record any more names nothing."""
    remove_replaced("nosuch", platform.history, lambda: platform.storage)
    assert "nosuch" in caplog.text


@pytest.mark.parametrize(
    ("status", "is_removed"),
    [
        (AttemptStatus.RUNNING, False),
        (AttemptStatus.SUCCESS, False),
        (AttemptStatus.FAILURE, True),
        (AttemptStatus.LOST, True),
    ],
)
def test_what_an_attempt_published_in_vain_is_removed(
    platform: Platform, tmp_path: Path, status: AttemptStatus, *, is_removed: bool
) -> None:
    """Once it is over, and unless it succeeded."""
    claim = claimed(platform.history, job_type=Declared.name)
    if status is not AttemptStatus.RUNNING:
        End(attempt=ended(claim, status), job_status=JobStatus.FAILED).record(platform.history)
    keys = _published(platform, claim, tmp_path)
    withdraw([claim], platform.registry, platform.history, lambda: platform.storage)
    assert there(platform) == (set() if is_removed else keys)


def test_what_nobody_knows_of_is_left_where_it_is(platform: Platform, tmp_path: Path) -> None:
    """Neither of an attempt that is not on record, nor of a job type that is not installed."""
    withdraw([], platform.registry, platform.history, lambda: platform.storage)
    unknown = claimed(platform.history, job_type="nosuch_v1")
    End(attempt=ended(unknown, AttemptStatus.FAILURE), job_status=JobStatus.FAILED).record(platform.history)
    claim = claimed(platform.history, job_type=Declared.name)
    gone = replace(claim, attempt=claim.attempt.model_copy(update={"id": new_id()}))
    keys = _published(platform, gone, tmp_path)
    withdraw([unknown, gone], platform.registry, platform.history, lambda: platform.storage)
    assert there(platform) == keys


def _published(platform: Platform, claim: Claim, tmp_path: Path) -> set[str]:
    (tmp_path / "text").write_text("text")
    keys = {attempt_key(key, claim.attempt.id) for key in Declared().output_keys(claim.job.subject_id)}
    for key in keys:
        platform.storage.put(tmp_path / "text", key, content_type="text/plain")
    return keys
