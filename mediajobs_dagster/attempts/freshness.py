"""Whether outputs are up to date: made by this version of the job type, with these parameters, from this content."""

from __future__ import annotations

from mediajobs_dagster.attempts.manifest import OutputRecord
from mediajobs_dagster.history import History
from mediajobs_dagster.models import JsonObject
from mediajobs_dagster.storage import Storage


def fresh_outputs(
    history: History, storage: Storage, job_type: str, subject_id: str, fingerprint: str
) -> list[OutputRecord] | None:
    """The outputs of the latest success, if its fingerprint is the same and they are all still there; else None."""
    latest = history.attempts.latest_success(job_type, subject_id)
    return unchanged_outputs(latest.result, fingerprint, storage) if latest and latest.result else None


def unchanged_outputs(result: JsonObject, fingerprint: str, storage: Storage) -> list[OutputRecord] | None:
    """The outputs in the `result` of a success, if its fingerprint is this one and they are all still there."""
    if result.get("fingerprint") != fingerprint:
        return None
    outputs = [OutputRecord.model_validate(output) for output in result["outputs"]]
    for output in outputs:
        found = storage.find(output.key)
        if found is None or found.bytes != output.bytes:
            return None
    return outputs
