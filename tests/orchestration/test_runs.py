"""Jobs as Dagster runs: tags, metadata, checks, children, retries, and what turns a run red."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import dagster as dg
import pytest
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from typing_extensions import override

from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.job_types.base import Params, UploadJobType
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.plan import Child, Output, Plan
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import AttemptStatus, JobStatus, SubjectKind, UploadRole
from mediajobs_dagster.orchestration.metadata import MAX_BYTES
from mediajobs_dagster.records import AttemptKey
from tests.clips import Clips
from tests.listeners import Watcher
from tests.orchestration.conftest import DagsterPlatform
from tests.platform import usual

THUMB, PROXY = Thumbnail.name, EditProxy.name
OpenDagster = Callable[..., DagsterPlatform]


def test_everything_is_derived_from_the_registry(dagster_platform: DagsterPlatform) -> None:
    """One asset, one job and one dispatch sensor a job type, and nothing else but the uploads and the recovery."""
    repository = dagster_platform.definitions.get_repository_def()
    names = [job_type.name for job_type in dagster_platform.registry]
    assert {key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()} == {
        "uploads",
        "thumbnail",
        "edit_proxy",
        "audio_envelope",
        "video_export",
        "ingested_video",
        "transcript",
        "study_guide",
        *(job_type.asset for job_type in dagster_platform.registry if job_type.subject is SubjectKind.TICK),
    }
    assert {name for name in repository.job_names if not name.startswith("__")} == set(names)
    assert {sensor.name for sensor in repository.sensor_defs} == {
        *(f"dispatch_{name}" for name in names),
        "lease_recovery",
        "observe_uploads",
        "overlooked_schedules",
    }


def test_one_trace_over_all_runs(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """Each job of an upload has a run of its own, found by the trace, tagged with type, subject, lane and priority."""
    upload = dagster_platform.add(clips.landscape(), priority=7)
    other = dagster_platform.add(clips.no_audio(), THUMB)
    dagster_platform.run_queue()
    runs = dagster_platform.runs(traceId=upload.trace_id)
    assert {run.job_name for run in runs} == {job_type.name for job_type in usual(dagster_platform.registry)}
    for run in runs:
        assert run.status is dg.DagsterRunStatus.SUCCESS
        assert run.tags["mediajobs/job_type"] == run.job_name
        assert run.tags["mediajobs/subject"] == upload.id
        assert run.tags["mediajobs/lane"] == dagster_platform.registry[run.job_name].lane
        assert run.tags["dagster/priority"] == "7"
        assert run.tags["dagster/partition"] == upload.created_at.date().isoformat()
    assert [run.job_name for run in dagster_platform.runs(traceId=other.trace_id)] == [THUMB]
    assert dagster_platform.attempts(upload, THUMB)[0].run_id in {run.run_id for run in runs}


def test_materialization_tells_the_story(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """Figures as numbers, commands and operations as tables, the picture itself, and all of it in 16 KB."""
    dagster_platform.add(clips.landscape(), THUMB)
    dagster_platform.run_queue()
    event = dagster_platform.instance.get_latest_materialization_event(dg.AssetKey("thumbnail"))
    assert event is not None
    materialization = event.asset_materialization
    assert materialization is not None
    metadata = materialization.metadata
    assert isinstance(metadata["rtf"].value, float)
    assert isinstance(metadata["bytes_out"].value, int)
    commands = metadata["ffmpeg_commands"]
    assert isinstance(commands, dg.TableMetadataValue)
    assert any("-frames:v 1" in str(record.data["command"]) for record in commands.records)
    assert isinstance(metadata["storage_operations"], dg.TableMetadataValue)
    assert "data:image/webp;base64," in str(metadata["preview"].value)
    assert Path(str(metadata["output"].value)).read_bytes()[:2] == b"\xff\xd8"
    assert str(metadata["attempt"].value).startswith("mediajobs attempt ")
    assert len(dg.serialize_value(materialization)) < MAX_BYTES


def test_metadata_of_a_large_batch_stays_small(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """A run of many jobs of one trace says how many rows it left out."""
    job_type, trace_id = dagster_platform.registry[THUMB], "a" * 32
    upload = dagster_platform.register(clips.landscape())
    requests = [job_type.request(upload, trace_id=trace_id, params={"atSeconds": number / 100}) for number in range(40)]
    dagster_platform.history.jobs.enqueue(requests)
    dagster_platform.run_queue()
    (run,) = dagster_platform.runs(traceId=trace_id)
    events = dagster_platform.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    (materialization,) = [event.asset_materialization for event in events]
    assert materialization is not None
    this_run = materialization.metadata["this_run"].value
    assert isinstance(this_run, dict)
    assert (this_run["jobs"], this_run["succeeded"]) == (40, 40)
    assert materialization.metadata["subjects"].value == 1
    assert materialization.metadata["attempts_left_out"].value
    assert len(dg.serialize_value(materialization)) < MAX_BYTES


def test_bad_upload_fails_its_own_run_only(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """A run whose only job failed is red, and says why, with the file. Its day is not: only the input is to blame."""
    upload = dagster_platform.add(clips.text_named_mp4(), THUMB)
    dagster_platform.run_queue()
    (run,) = dagster_platform.runs(traceId=upload.trace_id)
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert status_of_day(dagster_platform, "thumbnail") == (1, 0)
    told = [each for each in dagster_platform.instance.all_logs(run.run_id) if each.dagster_event]
    sentence = f"{upload.filename} ({upload.id}): INPUT_NOT_MEDIA: "
    failures = [each.message for each in told if each.dagster_event_type in FAILURES]
    assert len(failures) == 2
    assert all(each.startswith(sentence) for each in failures)
    (step,) = [each.dagster_event for each in told if each.dagster_event_type is dg.DagsterEventType.STEP_FAILURE]
    assert step
    assert step.step_failure_data.error
    assert (step.step_failure_data.error.message, step.step_failure_data.error.stack) == (failures[0], [])


FAILURES = (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE)


def status_of_day(platform: DagsterPlatform, asset: str) -> tuple[int, int]:
    """How many days are materialized, and how many are red, in Dagster's count."""
    days = platform.definitions.resolve_assets_def(asset).partitions_def
    status = get_and_update_asset_status_cache_value(platform.instance, dg.AssetKey(asset), days)
    assert status
    assert days
    made = status.deserialize_materialized_partition_subsets(days)
    failed = status.deserialize_failed_partition_subsets(days)
    return len(list(made.get_partition_keys())), len(list(failed.get_partition_keys()))


def test_the_day_is_judged_by_the_day(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """Of three uploads one is broken. A backfill tries it no more, stays green, and names it; figures are the day's."""
    platform = dagster_platform
    good = [platform.add(path, THUMB) for path in (clips.landscape(), clips.no_audio())]
    bad = platform.add(clips.text_named_mp4(), THUMB)
    platform.run_queue()
    assert status_of_day(platform, "thumbnail") == (1, 0)
    attempts = len(platform.attempts(bad, THUMB))

    day = bad.created_at.date().isoformat()
    result = platform.execute(THUMB, partition_key=day)
    assert result.success
    assert len(platform.attempts(bad, THUMB)) == attempts
    assert len(platform.history.jobs.list(JobFilter())) == 3
    assert status_of_day(platform, "thumbnail") == (1, 0)
    (check,) = result.get_asset_check_evaluations()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    table = check.metadata["subjects_without_output"]
    assert isinstance(table, dg.TableMetadataValue)
    (row,) = table.records
    assert (row.data["file"], row.data["subject"], row.data["code"]) == (bad.filename, bad.id, "INPUT_NOT_MEDIA")
    (event,) = result.get_asset_materialization_events()
    figures = {name: value.value for name, value in event.materialization.metadata.items()}
    assert (figures["subjects"], figures["made"], figures["failed"], figures["waiting"]) == (3, 2, 1, 0)
    made = [platform.attempts(each, THUMB)[0] for each in good]
    assert figures["bytes_out"] == sum(each.bytes_out or 0 for each in made)
    assert figures["media_seconds"] == pytest.approx(sum(each.media_seconds or 0 for each in made), abs=0.01)
    warnings = [
        entry.user_message for entry in platform.instance.all_logs(result.run_id) if entry.level == logging.WARNING
    ]
    assert len(warnings) == 1
    assert f"{bad.filename} ({bad.id}): INPUT_NOT_MEDIA: " in warnings[0]


def test_a_fault_of_the_system_turns_the_day_red_until_it_is_mended(
    dagster_platform: DagsterPlatform, clips: Clips
) -> None:
    """The check of the day says so as an error once the job is tried no more."""
    platform = dagster_platform
    lost = platform.add(clips.landscape(), THUMB)
    platform.storage.delete(lost.storage_key)
    platform.run_queue()
    assert platform.job(lost, THUMB).status is JobStatus.DEAD
    assert status_of_day(platform, "thumbnail") == (0, 1)
    check = latest_check(platform, "thumbnail")
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    platform.storage.put(clips.landscape(), lost.storage_key, content_type="video/mp4")
    assert platform.execute(THUMB, partition_key=lost.created_at.date().isoformat()).success
    assert status_of_day(platform, "thumbnail") == (1, 0)
    assert latest_check(platform, "thumbnail").passed


def latest_check(platform: DagsterPlatform, asset: str) -> dg.AssetCheckEvaluation:
    """The newest verdict on an asset's days."""
    records = platform.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey(asset), "every_subject_has_its_output"), limit=1
    )
    assert records[0].event
    event = records[0].event.dagster_event
    assert event
    return event.asset_check_evaluation_data


def test_bad_upload_in_a_batch_is_a_warning(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """In a batch the others are not held up: the run is green, and the check warns with the list."""
    platform = dagster_platform
    good, bad = platform.add(clips.landscape(), PROXY), platform.add(clips.text_named_mp4(), PROXY)
    trace_id = "b" * 32
    platform.history.jobs.enqueue([platform.registry[THUMB].request(each, trace_id=trace_id) for each in (bad, good)])
    (request,) = platform.requests(f"dispatch_{THUMB}")
    result = platform.execute(THUMB, request)
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.severity is dg.AssetCheckSeverity.WARN
    table = check.metadata["subjects_without_output"]
    assert isinstance(table, dg.TableMetadataValue)
    (row,) = table.records
    assert (row.data["subject"], row.data["code"]) == (bad.id, "INPUT_NOT_MEDIA")
    assert platform.job(good, THUMB).status is JobStatus.COMPLETED


def test_fault_of_the_system_turns_the_run_red_and_is_tried_again(
    dagster_platform: DagsterPlatform, clips: Clips
) -> None:
    """Each attempt at a job is a run of its own; the run of a failed attempt is red even if others succeeded in it."""
    platform = dagster_platform
    lost, good = platform.add(clips.landscape(), PROXY), platform.add(clips.no_audio(), PROXY)
    platform.storage.delete(lost.storage_key)
    trace_id = "c" * 32
    platform.history.jobs.enqueue([platform.registry[THUMB].request(each, trace_id=trace_id) for each in (lost, good)])
    (request,) = platform.requests(f"dispatch_{THUMB}")
    assert not platform.execute(THUMB, request).success
    assert platform.job(lost, THUMB).status is JobStatus.FAILED
    assert platform.job(good, THUMB).status is JobStatus.COMPLETED
    for _ in range(2):
        (retry,) = platform.requests(f"dispatch_{THUMB}")
        platform.execute(THUMB, retry)
    assert platform.job(lost, THUMB).status is JobStatus.DEAD
    attempts = platform.attempts(lost, THUMB)
    assert [attempt.attempt for attempt in attempts] == [1, 2, 3]
    assert len({attempt.run_id for attempt in attempts}) == 3
    assert len(platform.runs(traceId=trace_id)) == 3


def test_outputs_that_are_there_are_not_made_again(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """The same content, parameters and version: the attempt is skipped, unless it is forced or the output is gone."""
    platform = dagster_platform
    upload = platform.add(clips.landscape(), THUMB)
    platform.run_queue()
    job = platform.job(upload, THUMB)

    platform.history.jobs.retry(job.id)
    platform.run_queue()
    assert platform.job(upload, THUMB).status is JobStatus.SKIPPED
    skipped = platform.attempts(upload, THUMB)[-1]
    assert (skipped.status, (skipped.result or {})["skipped"]) == (AttemptStatus.SKIPPED, "up_to_date")
    assert platform.manifest(upload, THUMB).ffmpeg_commands == ()

    platform.storage.delete(*platform.current_keys(upload, THUMB))
    platform.history.jobs.retry(job.id)
    platform.run_queue()
    assert platform.job(upload, THUMB).status is JobStatus.COMPLETED

    platform.history.jobs.retry(job.id, force=True)
    platform.run_queue()
    statuses = [attempt.status for attempt in platform.attempts(upload, THUMB)]
    assert statuses == ["success", "skipped", "success", "success"]


def test_adding_a_file_twice_enqueues_nothing_twice(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """The same file is the same upload with the same jobs."""
    first = dagster_platform.add(clips.landscape())
    again = dagster_platform.add(clips.landscape())
    assert again == first
    assert len(dagster_platform.history.jobs.list(JobFilter())) == len(usual(dagster_platform.registry))
    assert len(list(dagster_platform.storage.list("uploads/"))) == 1


def test_run_by_hand_makes_what_is_missing(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """A run without a dispatch enqueues and makes the missing outputs of its day, all of them only with `force`."""
    platform = dagster_platform
    uploads = [platform.register(path) for path in (clips.landscape(), clips.no_audio())]
    day = uploads[0].created_at.date().isoformat()
    assert platform.execute(THUMB, partition_key=day).success
    assert [len(platform.attempts(upload, THUMB)) for upload in uploads] == [1, 1]
    (run,) = platform.instance.get_runs()
    job = platform.job(uploads[0], THUMB)
    assert run.tags["traceId"] == job.trace_id
    assert float(run.tags["mediajobs/searching_at"]) == pytest.approx(time.time(), abs=300)

    assert platform.execute(THUMB, partition_key=day).success
    assert len(platform.history.jobs.list(JobFilter())) == 2

    forced = {"ops": {"thumbnail": {"config": {"force": True}}}}
    assert platform.execute(THUMB, partition_key=day, run_config=forced).success
    assert len(platform.history.jobs.list(JobFilter())) == 4


def test_one_run_over_several_assets_is_one_trace(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """Materializing all assets of a day in one run: each asset works on its own jobs, all under the run's one trace."""
    platform = dagster_platform
    upload = platform.register(clips.landscape())
    day = upload.created_at.date().isoformat()
    everything = platform.definitions.resolve_implicit_global_asset_job_def()
    result = everything.execute_in_process(instance=platform.instance, partition_key=day)
    assert result.success
    jobs = platform.history.jobs.list(JobFilter())
    assert {job.job_type for job in jobs} == {job_type.name for job_type in usual(platform.registry)}
    assert {job.status for job in jobs} == {JobStatus.COMPLETED}
    (run,) = platform.instance.get_runs()
    assert {job.trace_id for job in jobs} == {run.tags["traceId"]}
    of_uploads = {dg.AssetKey(job_type.asset) for job_type in usual(platform.registry)}
    for event in result.get_asset_materialization_events():
        there_was_none = event.asset_key not in of_uploads
        assert event.materialization.metadata["subjects"].value == (0 if there_was_none else 1)


def test_a_run_that_is_executed_again_takes_its_jobs_up_again(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """Re-executing a failed run in the UI, tags and all, makes a further attempt at the very same jobs."""
    platform = dagster_platform
    upload = platform.add(clips.text_named_mp4(), THUMB)
    (request,) = platform.requests(f"dispatch_{THUMB}")
    first = platform.execute(THUMB, request)
    assert not first.success
    job = platform.job(upload, THUMB)
    assert job.status is JobStatus.DEAD
    platform.output(upload.storage_key).write_bytes(clips.landscape().read_bytes())  # somebody mends the object

    inherited = {**request.tags, "dagster/parent_run_id": first.run_id, "dagster/root_run_id": first.run_id}
    again = platform.execute(THUMB, tags=inherited, partition_key=request.partition_key)
    assert again.success
    assert platform.job(upload, THUMB).id == job.id
    assert platform.job(upload, THUMB).status is JobStatus.COMPLETED
    assert len(platform.runs(traceId=job.trace_id)) == 2


def test_a_run_that_comes_too_late_makes_nothing(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """A run whose job was cancelled while it waited is no materialization."""
    platform = dagster_platform
    upload = platform.add(clips.landscape(), THUMB)
    (request,) = platform.requests(f"dispatch_{THUMB}")
    platform.history.jobs.cancel(platform.job(upload, THUMB).id)
    assert platform.execute(THUMB, request).success
    assert platform.instance.get_latest_materialization_event(dg.AssetKey("thumbnail")) is None
    assert platform.attempts(upload, THUMB) == []


class Title(UploadJobType):
    """A text about a video, which becomes an upload of its own."""

    name: ClassVar[str] = "test_title_v1"
    asset: ClassVar[str] = "title"

    @override
    def output_keys(self, subject_id: str) -> tuple[str, ...]:
        return (f"titles/{subject_id}/title.txt",)

    @override
    def plan_upload(self, source: Source, params: Params) -> Plan:
        (key,) = self.output_keys(source.upload.id)
        text = Output("title.txt", key, "text/plain", literal=b"A title", becomes=UploadRole.EXPORT)
        return Plan(outputs=(text,), children=(Child(THUMB), Child(PROXY, on_result=True)))


def test_children_share_the_trace(open_dagster: OpenDagster, clips: Clips) -> None:
    """A finished job's result is an upload of role `export`; its children run on it or on the subject, one trace."""
    platform = open_dagster(types=(Title(),))
    upload = platform.add(clips.landscape(), Title.name)
    platform.run_queue()
    parent = platform.job(upload, Title.name)
    thumb, proxy = sorted(platform.history.jobs.list(JobFilter(parent_job_id=parent.id)), key=lambda job: job.id)
    result = platform.history.uploads.get(proxy.subject_id)
    (attempt,) = platform.attempts(upload, Title.name)
    assert (result.role, result.storage_key) == (UploadRole.EXPORT, f"titles/{upload.id}/{attempt.id}/title.txt")
    assert (thumb.job_type, thumb.subject_id, thumb.status) == (THUMB, upload.id, JobStatus.COMPLETED)
    assert (proxy.job_type, proxy.status, proxy.error_code) == (PROXY, JobStatus.DEAD, "INPUT_NOT_MEDIA")
    assert {job.trace_id for job in (parent, thumb, proxy)} == {upload.trace_id}
    assert {run.job_name for run in platform.runs(traceId=upload.trace_id)} == {Title.name, THUMB, PROXY}

    platform.history.jobs.retry(parent.id, force=True)
    platform.run_queue()
    children = platform.history.jobs.list(JobFilter(parent_job_id=parent.id))
    again = platform.history.uploads.get(result.id)
    # The result is the same upload with another content: its children are made again, the subject's are not.
    latest = platform.attempts(upload, Title.name)[-1]
    assert (again.storage_key, again.etag != result.etag) == (f"titles/{upload.id}/{latest.id}/title.txt", True)
    assert [child.id for child in children if child.job_type == THUMB] == [thumb.id]
    assert [child.subject_id for child in children if child.job_type == PROXY] == [result.id] * 2


def test_interrupt_by_dagster_hands_the_job_back(dagster_platform: DagsterPlatform, clips: Clips) -> None:
    """What interrupts a run in mid-attempt leaves a cancelled attempt, and the job in the queue."""
    platform = dagster_platform
    platform.media.listeners = Listeners([Interrupts()])
    upload = platform.add(clips.landscape(), PROXY)
    with pytest.raises(KeyboardInterrupt):
        platform.run_queue()
    assert platform.job(upload, PROXY).status is JobStatus.QUEUED
    assert [attempt.status for attempt in platform.attempts(upload, PROXY)] == [AttemptStatus.CANCELLED]
    assert platform.leftovers() == []


class Interrupts(Watcher):
    """Interrupts when ffmpeg is about to start."""

    @override
    def stage(self, key: AttemptKey, name: str) -> None:
        if name == "ffmpeg":
            raise KeyboardInterrupt


def test_a_run_by_hand_needs_what_its_job_type_needs(open_dagster: OpenDagster, clips: Clips) -> None:
    """Where it is not offered, the run fails and says so: its day must not look as if it had been made."""
    platform = open_dagster(offers=("none",))
    upload = platform.register(clips.landscape())
    result = platform.execute(THUMB, partition_key=upload.created_at.date().isoformat())
    assert not result.success
    assert platform.history.jobs.list(JobFilter()) == []
