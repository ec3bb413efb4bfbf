"""Removes what attempts published and no success names: outputs that came to nothing, and those that were replaced.

Each attempt publishes under keys of its own, so a late removal can never meet an object of another attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from mediajobs_dagster.attempts.spool import Spool
from mediajobs_dagster.errors import MediaJobsError, RequestError
from mediajobs_dagster.history import Claim, History
from mediajobs_dagster.history.attempts import outputs_of
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import Attempt, AttemptStatus, Job, Upload, result_origin
from mediajobs_dagster.storage import Storage, attempt_key

_log = logging.getLogger(__name__)


def remove(keys: Iterable[str], storage: Callable[[], Storage]) -> None:
    """Remove objects that nobody is writing any more, and their unfinished parts.

    An error of the storage is logged: the sweep of the storage will find what is left.
    """
    for key in keys:
        try:
            storage().abandon(key)
        except MediaJobsError as error:
            _log.warning("%s was not removed: %s", key, error)


def withdraw(claims: Sequence[Claim], registry: Registry, history: History, storage: Callable[[], Storage]) -> None:
    """Remove what attempts that are over have published, unless they succeeded.

    What their job types do not declare is left to the sweep of the storage.
    """
    standings = history.current.standings([claim.attempt.id for claim in claims]) if claims else {}
    for claim in claims:
        standing = standings.get(claim.attempt.id)
        if standing and standing.status not in (AttemptStatus.RUNNING, AttemptStatus.SUCCESS):
            remove(_declared_keys(claim.job, claim.attempt.id, registry), storage)


def _declared_keys(job: Job, attempt_id: str, registry: Registry) -> list[str]:
    try:
        job_type = registry[job.job_type]
    except RequestError:  # it is not installed any more
        return []
    keys = (*job_type.output_keys(job.subject_id), *job_type.result_keys(job, attempt_id))
    return [attempt_key(key, attempt_id) for key in keys]


def deliver(spool: Spool, registry: Registry, history: History, storage: Callable[[], Storage]) -> int:
    """Record the ends of attempts that dead workers of this machine left in the spool; returns how many.

    What an attempt published in vain, because its job went to another worker meanwhile, is removed.
    """
    return spool.deliver(history, lambda claim: withdraw([claim], registry, history, storage))


def remove_replaced(attempt_id: str, history: History, storage: Callable[[], Storage]) -> None:
    """Remove the outputs of an attempt that are not the current ones any more. Those that are uploads stay."""
    try:
        replaced = history.attempts.get(attempt_id)
        remove(set(keys_of(replaced)) - upload_keys(replaced, history), storage)
    except MediaJobsError as error:
        _log.warning("The outputs of attempt %s, which were replaced, were not removed: %s", attempt_id, error)


def keys_of(attempt: Attempt) -> list[str]:
    """The keys of the outputs that a success has published."""
    return [output["key"] for output in outputs_of(attempt.result)]


def uploads_of(attempt: Attempt, history: History) -> list[Upload]:
    """The uploads that outputs of an attempt, or of another one at its job, became."""
    origins = [result_origin(attempt.job_id or "", key.rpartition("/")[2]) for key in keys_of(attempt)]
    return list(history.uploads.known(origins).values())


def upload_keys(attempt: Attempt, history: History) -> set[str]:
    """Their keys; and what the attempt made beside one of them, such as its subtitles."""
    keys, own = {upload.storage_key for upload in uploads_of(attempt, history)}, set(keys_of(attempt))
    return keys | own if keys & own else keys
