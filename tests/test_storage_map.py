"""The storage map beside the keys that the code can really produce."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediajobs_dagster.job_types.base import JobType, UploadJobType
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.models import Job, JobStatus, StorageOp, SubjectKind, Timeline, derived_id, new_id, utc_now
from mediajobs_dagster.storage import attempt_key, upload_source_key
from mediajobs_dagster.storage.local import LocalStorage
from mediajobs_dagster.storage.storage_map import StorageMap, load_storage_map

IDS = (new_id(), derived_id(utc_now(), "an export"))


def keys_of(job_type: JobType, subject_id: str) -> tuple[str, ...]:
    """Keys under which jobs of that type publish, and did before attempts had keys of their own."""
    if isinstance(job_type, UploadJobType):
        keys = job_type.output_keys(subject_id)
        return (*keys, *(attempt_key(key, new_id()) for key in keys))
    job = Job(
        **job_type.request(a_timeline(subject_id), trace_id="0" * 32).model_dump(),
        id=new_id(),
        status=JobStatus.QUEUED,
        attempts=0,
        not_before=utc_now(),
        created_at=utc_now(),
        updated_at=utc_now(),
    )
    return job_type.result_keys(job, new_id())


def a_timeline(timeline_id: str) -> Timeline:
    """Any timeline."""
    return Timeline(id=timeline_id, document={}, etag="x", created_at=utc_now(), trace_id="0" * 32)


@pytest.fixture(scope="module")
def storage_map() -> StorageMap:
    """The map as it is published."""
    return load_storage_map(Path(__file__).parent.parent / "storage_map.json")


@pytest.mark.parametrize("job_type", list(Registry.standard()), ids=lambda each: each.name)
def test_every_output_lies_where_the_map_says(storage_map: StorageMap, job_type: JobType) -> None:
    """Under the prefix that names its job type, and looking like the pattern there."""
    for key in (key for subject in IDS for key in keys_of(job_type, subject)):
        entry = storage_map.entry_for(key)
        assert entry, f"{key} lies below no prefix of storage_map.json"
        assert entry.job_type == job_type.name
        assert storage_map.matches(entry, key), f"{key} fits none of {entry.patterns}"
        assert job_type.has_made(key)
        assert not job_type.has_made(f"{key}x")


def test_every_source_lies_where_the_map_says(storage_map: StorageMap) -> None:
    """Uploads are made by no job type, and kept for good."""
    for key in map(upload_source_key, IDS):
        entry = storage_map.entry_for(key)
        assert entry
        assert storage_map.matches(entry, key)
        assert (entry.job_type, entry.retention_days) == (None, None)


def test_the_doctors_probe_lies_where_the_map_says(storage_map: StorageMap, tmp_path: Path) -> None:
    """What `mediajobs doctor` writes to see whether it can is in the map too."""
    ops: list[StorageOp] = []
    LocalStorage(tmp_path).observed(ops.append).check()
    written = {op.key for op in ops if op.op == "put"}
    assert written
    for key in written:
        entry = storage_map.entry_for(key)
        assert entry
        assert storage_map.matches(entry, key)


def test_every_job_type_on_the_map_exists(storage_map: StorageMap) -> None:
    """No prefix is left over from a job type that is gone, and none makes objects that are on no map."""
    named = {entry.job_type for entry in storage_map.entries if entry.job_type}
    assert named == {job_type.name for job_type in Registry.standard() if job_type.subject is not SubjectKind.TICK}
