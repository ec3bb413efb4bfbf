"""One try at a job, from top to bottom:

    check → fetch → probe → prepare → plan → steps → verify → publish → record, and enqueue children

A step runs ffmpeg or calls a service. Whatever happens on the way, the attempt ends with exactly one history row and
one manifest, nothing half-written under a final key, and nothing left in scratch.
"""

from __future__ import annotations

import errno
import logging
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from mediajobs_dagster.attempts.alone import machine_turn
from mediajobs_dagster.attempts.evidence import CONTENT, judged
from mediajobs_dagster.attempts.freshness import fresh_outputs
from mediajobs_dagster.attempts.machine import ThisMachine
from mediajobs_dagster.attempts.manifest import OutputRecord
from mediajobs_dagster.attempts.outcome import AttemptEnded, Interrupted, NotStarted, UpToDate, Work, settle
from mediajobs_dagster.attempts.progress import ProgressMeter
from mediajobs_dagster.attempts.recorder import Recorder, Stage
from mediajobs_dagster.attempts.rehearsal import inputs_of_clip
from mediajobs_dagster.attempts.steps import StepMaker
from mediajobs_dagster.attempts.subjects import AttemptSource, Inputs, inputs_of, resolver_of
from mediajobs_dagster.attempts.verify import Verification, sha256_of, verify
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.attempts.workspace import Workspace
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import (
    CancelledError,
    DiskFullError,
    InputRefusedError,
    InternalError,
    MediaJobsError,
    OutputInvalidError,
    QuotaExhaustedError,
    StorageMissingError,
    StorageUnavailableError,
)
from mediajobs_dagster.history import Claim
from mediajobs_dagster.job_types.base import JobType, Lane, Params
from mediajobs_dagster.job_types.material import Access, Material, Source
from mediajobs_dagster.job_types.plan import Check, Output, Plan
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.media.allowance import Allowance
from mediajobs_dagster.media.command import Command, is_remote
from mediajobs_dagster.media.images import image_info
from mediajobs_dagster.media.probe import probe, refuse_unusable
from mediajobs_dagster.media.run import Made, Runner
from mediajobs_dagster.media.trial_clip import FILENAME, make_trial_clip
from mediajobs_dagster.models import MediaInfo
from mediajobs_dagster.records import AttemptProgressed, AttemptStarted, JobQueued
from mediajobs_dagster.resilience.quota import Quota
from mediajobs_dagster.storage import ObjectStat, Storage, attempt_key, redact
from mediajobs_dagster.storage.by_range import RangeReader

_LIGHT_SHARE = 0.2
"""Share of the time that an input is given when the job is light: others wait behind it."""

_log = logging.getLogger(__name__)


def make_attempt(claim: Claim, worker: Worker, listeners: Listeners, cancellation: Cancellation) -> AttemptEnded:
    """Make the attempt that was claimed, and record it.

    A failure is an outcome, not an exception; so is an interrupt that arrives as a cancellation. An interrupt that is
    raised in this thread (KeyboardInterrupt) is recorded too, and then raised again.
    """
    recorder = Recorder.of(claim, worker.host, listeners.tell)
    attempt = _Attempt(claim, worker, recorder, listeners, cancellation)
    listeners.tell(AttemptStarted(key=recorder.key))
    try:
        ending = attempt.work()
    except UpToDate as found:
        ending = found
    except QuotaExhaustedError as error:
        ending = NotStarted(error)
    except MediaJobsError as error:
        ending = error
    except OSError as error:
        ending = _fault_of_machine(error)
    except Exception as error:  # noqa: BLE001  # the edge: whatever it is, it becomes an outcome with a code
        _log.error("The attempt at job %s failed unexpectedly:\n%s", claim.job.id, redact(traceback.format_exc()))
        ending = InternalError(f"{type(error).__name__}: {error}. This is a fault of mediajobs; please report it.")
    except BaseException:
        listeners.tell(settle(claim, worker, recorder, Interrupted()))
        raise
    ended = settle(claim, worker, recorder, ending)
    listeners.tell_all([*(JobQueued(job=child) for child in ended.children), ended])
    return ended


def _fault_of_machine(error: OSError) -> MediaJobsError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError()
    _log.error("An attempt failed with an error of the operating system:\n%s", redact(traceback.format_exc()))
    return InternalError(f"The operating system refused something that should work: {error}.")


@dataclass(frozen=True)
class _Attempt:
    claim: Claim
    worker: Worker
    recorder: Recorder
    listeners: Listeners
    cancellation: Cancellation

    def work(self) -> Work:
        """Everything between the claim and the record; raises UpToDate when there is nothing to do."""
        try:
            home, waiting = self.worker.settings.home, partial(self.recorder.timed, Stage.WAIT)
            with machine_turn(home, self.cancellation, alone=self.is_alone, waiting=waiting):
                return self._work()
        except MediaJobsError as error:
            content = str(self.recorder.input_summary.get(CONTENT))
            fault = self._as_outage(error)
            verdict = judged(fault, self.claim, self.worker.history, content=content, rehearse=self._rehearse)
            raise verdict from (None if verdict is error else error)

    def _as_outage(self, error: MediaJobsError) -> MediaJobsError:
        """Missing with its whole storage, an object that the history knows of is not lost: that is an outage."""
        if isinstance(error, StorageMissingError) and not self.worker.storage.is_there:
            return StorageUnavailableError(f"{error.message} Put it back: the job goes on by itself.")
        return error

    def _work(self) -> Work:
        self.cancellation.check()
        job, recorder, job_type = self.claim.job, self.recorder, self.job_type
        recorder.rtf_basis = job_type.rtf_basis
        params = job_type.parse(job.params)
        for each in job.follow_up:  # what cannot follow must fail the attempt, not its recording
            self.worker.registry[each.job_type].parse(each.params)
        storage = self.worker.storage.observed(recorder.add_storage_op)

        with (
            self.worker.scratch.attempt_folder(self.claim.attempt.id) as folder,
            RangeReader.open(self.worker.ranges, storage, folder, recorder.add_storage_op) as ranges,
        ):
            workspace = Workspace(folder, ranges, self.cancellation)
            with recorder.timed(Stage.CHECK):
                inputs, fingerprint, fresh = self._check_freshness(storage)
            if fresh is not None:
                raise UpToDate(fingerprint, fresh, inputs.subject)
            settings = self.worker.settings
            Quota.of(self.worker.history, settings).require(job_type.quota_needed(settings))
            with recorder.timed(Stage.FETCH):
                self._fetch(inputs, storage, workspace)
            with recorder.timed(Stage.PROBE):
                material = self._probe_sources(inputs, workspace)
            plan = self._plan(material, params, inputs, workspace)
            allowance = self._allowance(plan, material)
            made = self._make(plan, workspace, allowance)
            outputs = self._outputs(plan.outputs_in(folder))
            with recorder.timed(Stage.VERIFY):
                verified = self._verify(outputs, plan.checks, workspace, made, allowance)
            with recorder.timed(Stage.PUBLISH):
                published = self._publish(outputs, verified, folder, storage)
        for child in plan.children:
            self.worker.registry[child.job_type]  # as above
        return Work(fingerprint, outputs, plan.children, inputs.subject, published, also_wanted=plan.also_wanted)

    @cached_property
    def job_type(self) -> JobType:
        """The type of the job."""
        return self.worker.registry[self.claim.job.job_type]

    @cached_property
    def is_alone(self) -> bool:
        """Whether it is tried with half of the threads and nothing beside it: an earlier one ran out of memory."""
        if self.claim.attempt.attempt == 1:
            return False
        policy = self.worker.registry.retry_policy(self.claim.job.job_type, self.worker.retry)
        return bool(policy.past(self.worker.history, self.claim.job).tried_alone)

    @cached_property
    def meter(self) -> ProgressMeter:
        """Reports the progress of the attempt."""
        return ProgressMeter(
            lambda progress: self.listeners.tell(AttemptProgressed(key=self.recorder.key, progress=progress))
        )

    def runner(self) -> Runner:
        """Runs the commands of this attempt. The first command looks for ffmpeg. Raises FfmpegMissingError."""
        found = self.worker.runner_for(self.job_type)
        if self.is_alone:
            found = replace(found, guards=replace(found.guards, threads=max(1, found.guards.threads // 2)))
        self.recorder.ffmpeg_version = found.tools.version
        return found

    # --- what it is about --------------------------------------------------------------------------------------------

    def _check_freshness(self, storage: Storage) -> tuple[Inputs, str, list[OutputRecord] | None]:
        """The inputs, the fingerprint of the outputs, and these outputs if they exist already."""
        job, history = self.claim.job, self.worker.history
        subject = resolver_of(self.job_type.subject, history).get(job.subject_id)
        self.recorder.input_summary = subject.summary
        inputs = inputs_of(self.job_type, subject, history, storage)
        self.recorder.input_summary = {**subject.summary, CONTENT: inputs.etag}
        fingerprint = self.job_type.fingerprint(job.params, inputs.etag)
        fresh = None if job.force else fresh_outputs(history, storage, job.job_type, subject.id, fingerprint)
        return inputs, fingerprint, fresh

    def _fetch(self, inputs: Inputs, storage: Storage, workspace: Workspace) -> None:
        """Fetch each source, or make it readable by range."""
        arrived = 0

        def count(size: int) -> None:
            nonlocal arrived
            arrived += size
            self.meter.within(Stage.FETCH, arrived / max(1, inputs.bytes))

        for each in inputs.sources:
            source = self.worker.shelf.fetch(
                each.content, each.use.access, storage, workspace, name=each.name, on_bytes=count
            )
            self.recorder.stands_for(source, each.upload.storage_key)
            workspace.sources[each.name] = source
        for each in inputs.outputs:
            self.worker.shelf.fetch(each.content, Access.WHOLE, storage, workspace, name=each.name, on_bytes=count)
            self.recorder.stands_for(each.name, each.content.key)

    def _probe_sources(self, inputs: Inputs, workspace: Workspace) -> Material:
        """Probe the sources; the attempt's figures are about the first one."""
        sources = {
            each.upload.id: Source(each.upload, self._media_info(each, workspace), each.name) for each in inputs.sources
        }
        self.recorder.info = next((source.info for source in sources.values()), None)
        return Material(self.claim.job, inputs.subject, sources, self.claim.attempt.id)

    def _media_info(self, source: AttemptSource, workspace: Workspace) -> MediaInfo:
        """The media info of a source: that of the upload if the content is unchanged, else from a probe."""
        name = workspace.sources[source.name]
        if not source.use.is_image and workspace.is_heif(source.name, source.content.bytes):
            raise InputRefusedError
        settings = self.worker.settings
        max_pixels = settings.max_pixels
        info = source.upload.media_info if source.is_unchanged else None
        if info and not (info.is_measured or info.is_image) and (info.is_indexed or not is_remote(name)):
            info = None  # from a probe by range, or of an earlier version
        self.recorder.describe_media(known=info is not None)
        is_probed = info is None
        if info is None and source.use.is_image:
            info = image_info(workspace.folder / name, max_pixels, self.cancellation)
        elif info is None:
            info = self._probe(name, workspace, size=source.content.bytes)
        if not info.is_image:
            missing = workspace.missing_bytes(source.name, source.content.bytes)
            refuse_unusable(info, missing, max_pixels=max_pixels, max_seconds=settings.max_media_s)
        if is_probed and source.is_unchanged:
            self.worker.history.uploads.set_media_info(source.upload.id, info)
        return info

    def _probe(self, name: str, workspace: Workspace, *, size: int | None = None) -> MediaInfo:
        report, cancel = self.recorder.add_command, self.cancellation
        with workspace.reading():
            return probe(self.runner(), name, cwd=workspace.folder, size=size, report=report, cancel=cancel)

    # --- what is made of it ------------------------------------------------------------------------------------------

    def _plan(self, material: Material, params: Params, inputs: Inputs, workspace: Workspace) -> Plan:
        prepared = None
        if type(self.job_type).prepare is not JobType.prepare:
            steps = self._steps(workspace, self._allowance(Plan(), material))
            machine = ThisMachine(self.runner, lambda command, take: steps.run(command, on_data=take, is_noted=False))
            with self.recorder.timed(Stage.PREPARE):
                prepared = self.job_type.prepare(material, params, machine)
        with self.recorder.timed(Stage.PLAN):
            plan = self.job_type.plan(replace(material, prepared=prepared), params)
            for each in plan.notes:
                self.recorder.note(each)
            needed = inputs.bytes if plan.scratch_bytes is None else plan.scratch_bytes
            self.worker.scratch.require(needed, f"a job of type {self.job_type.name}")
        return plan

    def _allowance(self, plan: Plan, material: Material) -> Allowance:
        """What each command may take."""
        return Allowance(
            base_s=self.worker.settings.base_timeout_s,
            sources=tuple(source.info for source in material.sources.values()),
            work_s=plan.work_s,
            memory_bytes=plan.memory_bytes,
            share=_LIGHT_SHARE if self.job_type.lane is Lane.LIGHT else 1.0,
        )

    def _steps(self, workspace: Workspace, allowance: Allowance) -> StepMaker:
        recorder = self.recorder
        installation = self.worker.installation(recorder.add_storage_op)
        return StepMaker(installation, self.runner, workspace, recorder, self.cancellation, self.meter, allowance)

    def _make(self, plan: Plan, workspace: Workspace, allowance: Allowance) -> Mapping[str, Made]:
        """Make every output in the folder; returns what ffmpeg says it made, by the name of the file."""
        if not callable(plan.outputs):  # known before the steps run, so a failed attempt names them too
            self._name_outputs(self._outputs(plan.outputs))
        maker = self._steps(workspace, allowance)
        maker.make(plan.steps)
        outputs = self._outputs(plan.outputs_in(workspace.folder))
        self._name_outputs(outputs)
        for output in outputs:
            if output.literal is not None:
                (workspace.folder / output.filename).write_bytes(output.literal)
        return maker.made

    def _outputs(self, outputs: Sequence[Output]) -> tuple[Output, ...]:
        """The outputs of the plan, each under a key that no other attempt writes."""
        return tuple(replace(each, key=attempt_key(each.key, self.claim.attempt.id)) for each in outputs)

    def _name_outputs(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            self.recorder.stands_for(output.filename, output.key)

    # --- whether it would work on another input ----------------------------------------------------------------------

    def _rehearse(self) -> bool | None:
        """Whether the same work succeeds on a test clip; None if such jobs cannot be tried on one.

        Nothing of the trial is published or recorded.
        """
        if type(self.job_type).rehearsal is JobType.rehearsal:
            return None
        trial = replace(self, recorder=Recorder(self.recorder.key, self.worker.host), listeners=Listeners())
        try:
            return trial.make_of_clip()
        except CancelledError:
            raise
        except (MediaJobsError, OSError) as error:
            self.recorder.note(f"The same work fails on a test clip too: {redact(str(error))}")
            return False
        except Exception:  # noqa: BLE001  # whatever the trial raises, the attempt keeps the error that it failed with
            _log.error("The trial of %s failed unexpectedly:\n%s", self.job_type.name, redact(traceback.format_exc()))
            return None

    def make_of_clip(self) -> bool | None:
        """Make and verify outputs of a test clip; None if that is not possible. Raises what made it fail."""
        worker = self.worker
        with (
            worker.scratch.attempt_folder(f"{self.claim.attempt.id}-rehearsal") as folder,
            RangeReader.open(worker.ranges, worker.storage, folder, lambda _: None) as ranges,
        ):
            inputs = inputs_of_clip(self.job_type, make_trial_clip(self.runner(), folder))
            if inputs is None:
                return None
            workspace = Workspace(folder, ranges, self.cancellation)
            workspace.sources.update({each.name: FILENAME for each in inputs.sources})
            material = self._probe_sources(inputs, workspace)
            plan = self._plan(material, self.job_type.parse(self.claim.job.params), inputs, workspace)
            allowance = self._allowance(plan, material)
            made = self._make(plan, workspace, allowance)
            self._verify(plan.outputs_in(folder), plan.checks, workspace, made, allowance)
        return True

    # --- what came of it ---------------------------------------------------------------------------------------------

    def _verify(
        self,
        outputs: Sequence[Output],
        checks: Sequence[Check],
        workspace: Workspace,
        made: Mapping[str, Made],
        allowance: Allowance,
    ) -> list[MediaInfo | None]:
        runs = self._steps(workspace, allowance)
        verification = Verification(
            folder=workspace.folder,
            probe=lambda name: self._probe(name, workspace),
            decode_end=runs.decode_end,
            made=made,
        )
        verified: list[MediaInfo | None] = []
        for output in outputs:
            self.cancellation.check()
            info = verify(output, verification)
            declared, tolerance = output.expected.duration_seconds, output.expected.duration_tolerance
            if info and declared and tolerance and abs(info.duration_seconds - declared) > tolerance:
                self.recorder.note(
                    f"{output.filename} lasts {info.duration_seconds:.3f} s, its source declares {declared:.3f} s."
                )
            verified.append(info)
        self._check(checks, workspace.folder, runs.run)
        return verified

    def _check(self, checks: Sequence[Check], folder: Path, run: Callable[[Command], object]) -> None:
        faults: list[str] = []
        due, done = deque(checks), 0
        while due:
            check = due.popleft()
            run(check.command)
            for finding in check.judge(folder):
                if isinstance(finding, Check):
                    due.append(finding)
                else:
                    faults.append(finding)
            done += 1
            self.meter.within(Stage.VERIFY, done / (done + len(due)))
        if faults:
            raise OutputInvalidError(f"The output is not what was asked for: {'; '.join(faults)}.")

    def _publish(
        self, outputs: Sequence[Output], verified: Sequence[MediaInfo | None], folder: Path, storage: Storage
    ) -> list[ObjectStat]:
        self.cancellation.check()
        published: list[ObjectStat] = []
        whole = sum((folder / output.filename).stat().st_size for output in outputs)
        sent = 0

        def count(size: int) -> None:
            nonlocal sent
            self.cancellation.check()  # an interrupt must not wait for the upload of a large file
            sent += size
            self.meter.within(Stage.PUBLISH, sent / max(1, whole))

        for output, info in zip(outputs, verified, strict=True):
            path = folder / output.filename
            digest = sha256_of(path, self.cancellation.check)
            self.recorder.publishing.append(output.key)
            stat = storage.put(path, output.key, content_type=output.content_type, on_bytes=count)
            self.recorder.outputs.append(OutputRecord(key=output.key, bytes=stat.bytes, sha256=digest, media_info=info))
            published.append(stat)
        return published
