"""Which attempt's outputs are the current ones, and what is known of an attempt whose object somebody finds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from mediajobs_dagster.errors import IllegalTransitionError
from mediajobs_dagster.history import Claim, History
from mediajobs_dagster.history.current import Standing
from mediajobs_dagster.history.leases import Finished
from mediajobs_dagster.models import AttemptStatus, JobStatus, JsonObject, new_id
from tests.history.factories import NOON, THUMB, claimed, ended


def succeed(history: History, claim: Claim, result: JsonObject | None = None) -> Finished | None:
    """Record a success."""
    return history.leases.finish(ended(claim, result=result), job_status=JobStatus.COMPLETED)


def test_the_current_attempt_comes_with_its_result_and_without_its_manifest(history: History) -> None:
    """Whether outputs are fresh stands in the result; a manifest is large."""
    claim = claimed(history, subject_id="s")
    done = ended(claim, result={"fingerprint": "f"}, manifest={"stages": []})
    history.leases.finish(done, job_status=JobStatus.COMPLETED)
    assert history.current.of(THUMB, "s") == done.model_copy(update={"manifest": None})


def test_the_success_that_is_recorded_last_is_the_current_one(history: History) -> None:
    """Whatever the clocks of the workers say, and whichever began first. Each answer names what was replaced."""
    assert history.current.of(THUMB, "s") is None
    old, new = (claimed(history, subject_id="s", now=NOON + timedelta(hours=hour)) for hour in (0, 1))
    failed = claimed(history, subject_id="s", now=NOON + timedelta(hours=2))
    elsewhere = claimed(history, subject_id="t", now=NOON + timedelta(hours=3))
    assert succeed(history, new) == Finished(replaced=None)
    assert succeed(history, old) == Finished(replaced=new.attempt.id)
    history.leases.finish(ended(failed, AttemptStatus.FAILURE), job_status=JobStatus.DEAD)
    assert succeed(history, elsewhere) == Finished(replaced=None)
    current = history.current.of(THUMB, "s")
    assert current is not None
    assert current.id == old.attempt.id
    assert history.current.of("other", "s") is None


def test_the_current_results_of_many_subjects_come_at_once(history: History) -> None:
    """Of each the one recorded last; of some hundreds those that have one, whatever else was tried since."""
    for number in range(3):
        for turn in (0, 1):
            succeed(history, claimed(history, subject_id=f"s{number}"), {"fingerprint": f"{number} at {turn}"})
        failed = claimed(history, subject_id=f"s{number}")
        history.leases.finish(ended(failed, AttemptStatus.FAILURE), job_status=JobStatus.DEAD)
    succeed(history, claimed(history, subject_id="s0", job_type="other"), {"fingerprint": "other"})
    asked = ["s0", "s2", *(f"nobody{number}" for number in range(500))]
    found = history.current.results(THUMB, asked)
    assert found == {"s0": {"fingerprint": "0 at 1"}, "s2": {"fingerprint": "2 at 1"}}
    assert history.current.results(THUMB, []) == {}


def test_of_successes_at_the_same_moment_each_but_one_is_replaced_once(history: History) -> None:
    """So whoever replaces one knows it, and no object is forgotten."""
    first = claimed(history, subject_id="s")
    succeed(history, first)
    claims = [claimed(history, subject_id="s") for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        finished = list(pool.map(lambda claim: succeed(history, claim), claims))
    current = history.current.of(THUMB, "s")
    assert current is not None
    replaced = [each.replaced for each in finished if each]
    everyone = {claim.attempt.id for claim in (first, *claims)}
    assert sorted([current.id, *(each for each in replaced if each)]) == sorted(everyone)


def test_a_skipped_or_failed_attempt_changes_no_pointer(history: History) -> None:
    made = claimed(history, subject_id="s")
    succeed(history, made)
    for status, job_status in ((AttemptStatus.SKIPPED, JobStatus.SKIPPED), (AttemptStatus.LOST, JobStatus.FAILED)):
        history.leases.finish(ended(claimed(history, subject_id="s"), status), job_status=job_status)
    current = history.current.of(THUMB, "s")
    assert current is not None
    assert current.id == made.attempt.id


def test_a_success_whose_answer_was_lost_may_be_recorded_again(history: History) -> None:
    """The connection broke after the commit: the same answer comes again, and nothing is written twice."""
    replaced = claimed(history, subject_id="s")
    succeed(history, replaced)
    claim = claimed(history, subject_id="s")
    assert succeed(history, claim) == succeed(history, claim) == Finished(replaced=replaced.attempt.id)
    succeed(history, claimed(history, subject_id="s"))
    assert succeed(history, claim) == Finished(replaced=None)


def test_a_success_at_a_job_that_is_cancelled_writes_nothing(history: History) -> None:
    """Neither its row nor a pointer: the attempt ends as cancelled, and its lease goes then."""
    claim = claimed(history, subject_id="s")
    history.jobs.cancel(claim.job.id)
    assert succeed(history, claim) is None
    assert history.attempts.get(claim.attempt.id).status is AttemptStatus.RUNNING
    assert history.current.of(THUMB, "s") is None
    assert history.jobs.get(claim.job.id).lease_expires_at is not None
    history.leases.give_up(ended(claim, AttemptStatus.CANCELLED))
    assert history.attempts.get(claim.attempt.id).status is AttemptStatus.CANCELLED
    assert history.jobs.get(claim.job.id).lease_expires_at is None


@pytest.mark.parametrize("status", [AttemptStatus.SUCCESS, AttemptStatus.SKIPPED, AttemptStatus.RUNNING])
def test_an_attempt_is_not_given_up_as_one_that_made_something(history: History, status: AttemptStatus) -> None:
    claim = claimed(history)
    with pytest.raises(IllegalTransitionError, match=status):
        history.leases.give_up(ended(claim, status))


def test_what_is_known_of_attempts(history: History) -> None:
    """Their status, and whose outputs are the current ones of their subject. Of unknown ids nothing is said."""
    first, second = claimed(history, subject_id="s"), claimed(history, subject_id="s")
    alone = claimed(history, subject_id="t")
    succeed(history, first)
    succeed(history, second)
    ids = [claim.attempt.id for claim in (first, second, alone)]
    assert history.current.standings([*ids, *(new_id() for _ in range(500))]) == {
        ids[0]: Standing(AttemptStatus.SUCCESS, first.job.id, ids[1]),
        ids[1]: Standing(AttemptStatus.SUCCESS, second.job.id, ids[1]),
        ids[2]: Standing(AttemptStatus.RUNNING, alone.job.id, None),
    }
    assert history.current.standings([]) == {}
