"""Whether outputs are up to date: made by this version of the job type, with these parameters, from this content.

And where they are: what a job has made stands until a newer success on the same subject replaces it.
"""

from __future__ import annotations

from mediajobs_dagster.attempts.manifest import OutputRecord
from mediajobs_dagster.attempts.withdrawal import keys_of, upload_keys
from mediajobs_dagster.history import History
from mediajobs_dagster.models import Attempt, Job, JsonObject
from mediajobs_dagster.storage import Storage


def fresh_outputs(
    history: History, storage: Storage, job_type: str, subject_id: str, fingerprint: str
) -> list[OutputRecord] | None:
    """The subject's current outputs, if their fingerprint is the same and they all still exist; else None."""
    current = history.current.of(job_type, subject_id)
    return unchanged_outputs(current.result, fingerprint, storage) if current and current.result else None


def unchanged_outputs(result: JsonObject, fingerprint: str, storage: Storage) -> list[OutputRecord] | None:
    """The outputs in the `result` of a success, if its fingerprint is this one and they all still exist; else None."""
    if result.get("fingerprint") != fingerprint:
        return None
    outputs = [OutputRecord.model_validate(output) for output in result["outputs"]]
    for output in outputs:
        found = storage.find(output.key)
        if found is None or found.bytes != output.bytes:
            return None
    return outputs


def standing_keys(latest: Attempt, job: Job, history: History) -> list[str]:
    """Where the outputs of a job's latest attempt are: its own, or those of the success that replaced them."""
    keys = keys_of(latest)
    current = history.current.of(job.job_type, job.subject_id) if keys else None
    if current is None or current.id == latest.id:
        return keys
    # An output that became an upload stays, whatever else is made of the same subject.
    uploads = upload_keys(latest, history)
    return [key for key in keys if key in uploads] or keys_of(current)
