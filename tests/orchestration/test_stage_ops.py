"""A study guide as Dagster sees it: five ops of one run, each red or green by its own stage."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import create_execution_plan, execute_run
from dagster._core.execution.plan.state import KnownExecutionState

from mediajobs_dagster.job_types.study_guide import StudyGuide
from mediajobs_dagster.models import AttemptStatus, JobStatus, Upload, new_trace_id
from tests.orchestration.conftest import DagsterPlatform
from tests.services.server import REASONABLE_S, Exchange
from tests.study.guides import GivenTranscript
from tests.study.language_model import Request, running_model, well
from tests.study.talks import text_of, transcript_of

GUIDE = StudyGuide.name
OPS = [f"study_guide.{stage}" for stage in StudyGuide.ops]
OpenDagster = Callable[..., DagsterPlatform]


def ask(platform: DagsterPlatform, upload: Upload, job_type: str, **params: object) -> None:
    """Ask for a job on an upload."""
    wanted = platform.registry[job_type].request(upload, trace_id=new_trace_id(), params=params, anew=True)
    platform.history.jobs.enqueue([wanted])


def a_talk(platform: DagsterPlatform, folder: Path, text: str) -> Upload:
    """An upload with a transcript."""
    (folder / "talk.mp4").write_text(text[:100])
    upload = platform.register(folder / "talk.mp4")
    ask(platform, upload, GivenTranscript.name, document=json.dumps(transcript_of(text).to_json()))
    platform.run_queue()
    return upload


def steps_of(platform: DagsterPlatform, run: dg.DagsterRun) -> dict[str, str]:
    """The status of each op of a run, by its key."""
    return {step.step_key: step.status.value for step in platform.instance.get_run_step_stats(run.run_id)}


def run_of(platform: DagsterPlatform) -> dg.DagsterRun:
    """The newest run of a guide."""
    return next(iter(platform.instance.get_runs(dg.RunsFilter(job_name=GUIDE), limit=1)))


def execute_again(platform: DagsterPlatform, failed: dg.DagsterRun) -> dg.DagsterRun:
    """Execute a run again from its failed op, as Dagster's UI does."""
    instance, job = platform.instance, platform.definitions.resolve_job_def(GUIDE)
    steps, known = KnownExecutionState.build_resume_retry_reexecution(instance, failed)
    plan = create_execution_plan(
        job, run_config=failed.run_config, step_keys_to_execute=steps, known_state=known, instance_ref=None
    )
    run = instance.create_run_for_job(
        job,
        execution_plan=plan,
        run_config=failed.run_config,
        tags={**failed.tags, "dagster/parent_run_id": failed.run_id, "dagster/root_run_id": failed.run_id},
        parent_run_id=failed.run_id,
        root_run_id=failed.run_id,
    )
    execute_run(InMemoryJob(job), run, instance)
    return instance.get_run_by_id(run.run_id) or run


def test_a_run_has_an_op_for_each_stage(open_dagster: OpenDagster, tmp_path: Path) -> None:
    """All five are green, the day is made, its check passes, and its figures are on the asset."""
    platform = open_dagster(types=(GivenTranscript(),))
    upload = a_talk(platform, tmp_path, text_of("sourdough"))
    ask(platform, upload, GUIDE, subject="Baking")
    platform.run_queue()
    run = run_of(platform)
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert steps_of(platform, run) == dict.fromkeys(OPS, "SUCCESS")
    event = platform.instance.get_latest_materialization_event(dg.AssetKey("study_guide"))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["made"].value == 1
    assert event.asset_materialization.partition == upload.created_at.date().isoformat()
    checks = platform.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey("study_guide"), "every_subject_has_its_output"), limit=5
    )
    assert [check.status.value for check in checks] == ["SUCCEEDED"]
    graph = platform.definitions.get_repository_def().asset_graph
    assert {key.to_user_string() for key in graph.get(dg.AssetKey("study_guide")).parent_keys} == {
        "uploads",
        "transcript",
    }


def test_an_executed_again_run_goes_on_from_the_failed_op(open_dagster: OpenDagster, tmp_path: Path) -> None:
    """The op of the stage that failed is red, those behind it wait; executed again, nothing is asked for twice."""
    is_down = True

    def breaking(request: Request, exchange: Exchange) -> None:
        if is_down and request.form == "Questions":
            exchange.answer(b"oops", status=500)
        else:
            well(request, exchange)

    with running_model(breaking) as model:
        platform = open_dagster(types=(GivenTranscript(),), retry_base_s=600.0, outage_base_s=600.0, **model.settings)
        upload = a_talk(platform, tmp_path, text_of("sourdough"))
        ask(platform, upload, GUIDE)
        (request,) = platform.requests(f"dispatch_{GUIDE}")
        platform.execute(GUIDE, request)
        failed = run_of(platform)
        assert failed.status is dg.DagsterRunStatus.FAILURE
        assert steps_of(platform, failed) == {OPS[0]: "SUCCESS", OPS[1]: "SUCCESS", OPS[2]: "FAILURE"}
        assert platform.job(upload, GUIDE).status is JobStatus.FAILED

        is_down = False
        again = execute_again(platform, failed)
        assert steps_of(platform, again) == dict.fromkeys(OPS[2:], "SUCCESS")
    assert [request.form for request in model.requests] == ["PartNotes", "Questions", "Questions"]
    assert [attempt.status for attempt in platform.attempts(upload, GUIDE)] == [
        AttemptStatus.FAILURE,
        AttemptStatus.SUCCESS,
    ]


def test_a_talk_without_words_turns_the_run_red_and_not_the_day(open_dagster: OpenDagster, tmp_path: Path) -> None:
    """The first op says that nothing is said; nobody but the input is to blame, and the check names it."""
    platform = open_dagster(types=(GivenTranscript(),))
    upload = a_talk(platform, tmp_path, "")
    ask(platform, upload, GUIDE)
    platform.run_queue()
    run = run_of(platform)
    assert (run.status, steps_of(platform, run)) == (dg.DagsterRunStatus.FAILURE, {OPS[0]: "FAILURE"})
    assert platform.job(upload, GUIDE).status is JobStatus.DEAD
    event = platform.instance.get_latest_materialization_event(dg.AssetKey("study_guide"))
    assert event is not None
    assert event.run_id == run.run_id
    checks = platform.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey("study_guide"), "every_subject_has_its_output"), limit=5
    )
    assert [check.status.value for check in checks] == ["FAILED"]


def test_an_interrupt_gives_the_job_back(open_dagster: OpenDagster, tmp_path: Path) -> None:
    """While an op waits for its stage, the work stops at once, and the job is queued again."""
    with running_model(lambda _, exchange: exchange.hang()) as model:
        platform = open_dagster(types=(GivenTranscript(),), **model.settings)
        upload = a_talk(platform, tmp_path, text_of("sourdough"))
        ask(platform, upload, GUIDE)
        (request,) = platform.requests(f"dispatch_{GUIDE}")

        def interrupt() -> None:
            model.server.blocked.wait(REASONABLE_S)
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)

        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
        assert not platform.execute(GUIDE, request).success
        interrupting.join()
    assert platform.job(upload, GUIDE).status is JobStatus.QUEUED
    assert [attempt.status for attempt in platform.attempts(upload, GUIDE)] == [AttemptStatus.CANCELLED]
    assert platform.leftovers() == []
