"""One try at a job, from top to bottom:

    check → fetch → probe → plan → ffmpeg → verify → publish → record, and enqueue children

Whatever happens on the way, the attempt ends with exactly one history row and one manifest, nothing half-written under
a final key, and nothing left in scratch.
"""

from __future__ import annotations

import errno
import logging
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mediajobs_dagster.attempts import recorder as stages
from mediajobs_dagster.attempts.capabilities import capabilities_of
from mediajobs_dagster.attempts.freshness import fresh_outputs
from mediajobs_dagster.attempts.manifest import OutputRecord
from mediajobs_dagster.attempts.observer import Observer
from mediajobs_dagster.attempts.outcome import Interrupted, Outcome, UpToDate, Work, settle
from mediajobs_dagster.attempts.progress import ProgressMeter
from mediajobs_dagster.attempts.recorder import Recorder
from mediajobs_dagster.attempts.subjects import AttemptSource, Inputs, inputs_of, subject_of
from mediajobs_dagster.attempts.verify import sha256_of, verify
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.attempts.workspace import Workspace
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import DiskFullError, InternalError, MediaJobsError, OutputInvalidError
from mediajobs_dagster.history import Claim
from mediajobs_dagster.job_types.base import Check, Material, Plan, Source, Step
from mediajobs_dagster.media.command import Command, Input, Output
from mediajobs_dagster.media.images import image_info
from mediajobs_dagster.media.probe import probe, refuse_unusable
from mediajobs_dagster.media.run import Made, Runner
from mediajobs_dagster.media.stderr import Faults
from mediajobs_dagster.models import MediaInfo, Progress, Timeline
from mediajobs_dagster.storage import ObjectStat, Storage, redact
from mediajobs_dagster.storage.by_range import RangeReader

_log = logging.getLogger(__name__)


def make_attempt(claim: Claim, worker: Worker, observer: Observer, cancellation: Cancellation) -> Outcome:
    """Make the attempt that was claimed, and put it on record.

    A failure is an outcome, not an exception, and so is an interrupt that reaches it as a cancellation. One that is
    raised right here (KeyboardInterrupt) is put on record too, and then goes on its way.
    """
    job = claim.job
    recorder = Recorder(
        claim,
        worker.host,
        on_stage=lambda stage: observer.stage(job, stage),
    )
    attempt = _Attempt(claim, worker, recorder, observer, cancellation)
    observer.started(job)
    try:
        ending = attempt.work()
    except UpToDate as found:
        ending = found
    except MediaJobsError as error:
        ending = error
    except OSError as error:
        ending = _fault_of_machine(error)
    except Exception as error:  # noqa: BLE001  # the edge: whatever it is, it becomes an outcome with a code
        _log.error("The attempt at job %s ended unforeseen:\n%s", job.id, redact(traceback.format_exc()))
        ending = InternalError(f"{type(error).__name__}: {error}. This is a fault of mediajobs; please report it.")
    except BaseException:
        observer.ended(settle(claim, worker, recorder, Interrupted()))
        raise
    outcome = settle(claim, worker, recorder, ending)
    observer.ended(outcome)
    return outcome


def _fault_of_machine(error: OSError) -> MediaJobsError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError()
    _log.error("An attempt ended in an error of the operating system:\n%s", redact(traceback.format_exc()))
    return InternalError(f"The operating system refused something that should work: {error}.")


@dataclass(frozen=True)
class _Attempt:
    claim: Claim
    worker: Worker
    recorder: Recorder
    observer: Observer
    cancellation: Cancellation

    @cached_property
    def meter(self) -> ProgressMeter:
        """How far it is."""
        return ProgressMeter(lambda progress: self.observer.progress(self.claim.job, progress))

    def work(self) -> Work:
        """Everything between the claim and the record; raises UpToDate when there is nothing to do."""
        self.cancellation.check()
        job, recorder = self.claim.job, self.recorder
        recorder.ffmpeg_version = self.runner.tools.version
        job_type = self.worker.registry[job.job_type]
        recorder.rtf_basis = job_type.rtf_basis
        params = job_type.parse(job.params)
        history, storage = self.worker.history, self.worker.storage.observed(recorder.add_storage_op)

        with (
            self.worker.scratch.attempt_folder(self.claim.attempt.id) as folder,
            RangeReader.open(self.worker.ranges, storage, folder, recorder.add_storage_op) as ranges,
        ):
            workspace = Workspace(folder, ranges, self.cancellation)
            with recorder.timed(stages.CHECK):
                subject = subject_of(job_type, job.subject_id, history)
                recorder.describe_subject(subject)
                inputs = inputs_of(job_type, subject, history, storage)
                fingerprint = job_type.fingerprint(job.params, inputs.etag)
                fresh = None if job.force else fresh_outputs(history, storage, job.job_type, subject.id, fingerprint)
            if fresh is not None:
                raise UpToDate(fingerprint, fresh)

            with recorder.timed(stages.FETCH):
                self._fetch(inputs, storage, workspace)
            with recorder.timed(stages.PROBE):
                infos = [self._media_info(read, workspace) for read in inputs.read]
                recorder.info = next(iter(infos), None)  # titles alone are read from nothing
            with recorder.timed(stages.PLAN):
                sources = {
                    read.reading.upload_id: Source(read.upload, info, read.name)
                    for read, info in zip(inputs.read, infos, strict=True)
                }
                document = subject.document if isinstance(subject, Timeline) else None
                plan = job_type.plan(Material(job, sources, document, capabilities_of(self.runner)), params)
                recorder.notes.extend(plan.notes)
                made = ", ".join(output.key for output in plan.outputs)
                self.worker.scratch.require(plan.scratch_bytes or inputs.bytes, f"making {made}")
            if plan.files:
                with recorder.timed(stages.PREPARE):
                    for file in plan.files:
                        self.cancellation.check()
                        (folder / file.name).write_bytes(file.content(folder))
            with recorder.timed(stages.FFMPEG):
                lengths = self._make(plan, workspace)
            with recorder.timed(stages.VERIFY):
                verified = self._verify(plan, workspace, lengths)
            with recorder.timed(stages.PUBLISH):
                published = self._publish(plan, verified, folder, storage)
        for child in plan.children:
            self.worker.registry[child.job_type]  # an unknown one must fail the attempt, not its record
        return Work(fingerprint, plan, subject, published)

    @property
    def runner(self) -> Runner:
        """Runs the commands of this attempt; raises FfmpegMissingError."""
        return self.worker.runner_for(self.worker.registry[self.claim.job.job_type])

    def _fetch(self, inputs: Inputs, storage: Storage, workspace: Workspace) -> None:
        """Bring everything within ffmpeg's reach."""
        arrived = 0

        def count(size: int) -> None:
            nonlocal arrived
            arrived += size
            self.meter.within(stages.FETCH, arrived / max(1, inputs.bytes))

        for read in inputs.read:
            access, shelf = read.reading.access, self.worker.shelf
            source = shelf.fetch(read.content, access, storage, workspace, name=read.name, on_bytes=count)
            self.recorder.stands_for(source, read.upload.storage_key)
            workspace.sources[read.name] = source

    def _media_info(self, read: AttemptSource, workspace: Workspace) -> MediaInfo:
        """What a source holds: known already, if it is still the content that the upload was probed as."""
        source = workspace.sources[read.name]
        info = read.upload.media_info if read.is_as_taken_in else None
        self.recorder.describe_media(known=info is not None)
        is_probed = info is None
        if info is None and read.reading.is_image:
            info = image_info(workspace.folder / source, self.runner.guards.max_pixels)
        elif info is None:
            info = self._probe(source, workspace, size=read.content.bytes)
        if not info.is_image:
            missing = workspace.missing_bytes(read.name, read.content.bytes)
            refuse_unusable(info, missing, max_pixels=self.runner.guards.max_pixels)
        if is_probed and read.is_as_taken_in:
            self.worker.history.uploads.set_media_info(read.upload.id, info)
        return info

    def _probe(self, name: str, workspace: Workspace, *, size: int | None = None) -> MediaInfo:
        report, cancel = self.recorder.add_command, self.cancellation
        with workspace.reading():
            return probe(self.runner, name, cwd=workspace.folder, size=size, report=report, cancel=cancel)

    def _make(self, plan: Plan, workspace: Workspace) -> dict[str, float | None]:
        """Make every output in the folder; the seconds of media that ffmpeg says it wrote into each."""
        folder, lengths = workspace.folder, dict[str, float | None]()
        for output in plan.outputs:
            self.recorder.stands_for(output.filename, output.key)
            if output.literal is not None:
                (folder / output.filename).write_bytes(output.literal)
        whole, done = sum(step.weight for step in plan.steps), 0.0
        for step in plan.steps:
            if step.only_without is None or not (folder / step.only_without).exists():
                command = step.command if isinstance(step.command, Command) else step.command(folder)
                made = self._run_step(step, command, workspace, done / whole, step.weight / whole)
                lengths |= {output.target: made.out_seconds for output in command.outputs}
            done += step.weight
        return lengths

    def _run_step(self, step: Step, command: Command, workspace: Workspace, begin: float, share: float) -> Made:
        def tell(progress: Progress) -> None:
            fraction = None if progress.fraction is None else begin + share * progress.fraction
            self.meter.within(stages.FFMPEG, fraction, progress)

        sink = step.sink(workspace.folder) if step.sink else None
        try:
            return self._run(command, workspace, tell, sink.write if sink else None)
        finally:
            if sink:
                sink.close()

    def _run(
        self,
        command: Command,
        workspace: Workspace,
        on_progress: Callable[[Progress], None] | None = None,
        on_data: Callable[[bytes], None] | None = None,
    ) -> Made:
        with workspace.reading():
            made = self.runner.run(
                workspace.addressed(command),
                cwd=workspace.folder,
                on_progress=on_progress,
                on_data=on_data,
                cancel=self.cancellation,
                report=self.recorder.add_command,
            )
        if made.faults != Faults():
            self.recorder.notes.append(f"ffmpeg complained about its input, too little to refuse it: {made.faults}.")
        return made

    def _verify(self, plan: Plan, workspace: Workspace, lengths: dict[str, float | None]) -> list[MediaInfo | None]:
        def probe_output(name: str) -> MediaInfo:
            return self._probe(name, workspace)

        def decode_end(name: str, duration: float) -> None:
            self._run(_decoding_end(name, duration), workspace)

        verified: list[MediaInfo | None] = []
        for output in plan.outputs:
            info = verify(output, workspace.folder, probe_output, decode_end, lengths.get(output.filename))
            declared, tolerance = output.expected.duration_seconds, output.expected.duration_tolerance
            if info and declared and tolerance and abs(info.duration_seconds - declared) > tolerance:
                self.recorder.notes.append(
                    f"{output.filename} lasts {info.duration_seconds:.3f} s, its source declares {declared:.3f} s."
                )
            verified.append(info)
        self._check(plan.checks, workspace)
        return verified

    def _check(self, checks: Sequence[Check], workspace: Workspace) -> None:
        faults: list[str] = []
        due, done = deque(checks), 0
        while due:
            check = due.popleft()
            self._run(check.command, workspace)
            for finding in check.judge(workspace.folder):
                if isinstance(finding, Check):
                    due.append(finding)
                else:
                    faults.append(finding)
            done += 1
            self.meter.within(stages.VERIFY, done / (done + len(due)))
        if faults:
            raise OutputInvalidError(f"The output is not what was asked for: {'; '.join(faults)}.")

    def _publish(
        self, plan: Plan, verified: list[MediaInfo | None], folder: Path, storage: Storage
    ) -> list[ObjectStat]:
        self.cancellation.check()
        published: list[ObjectStat] = []
        whole = sum((folder / output.filename).stat().st_size for output in plan.outputs)
        sent = 0

        def count(size: int) -> None:
            nonlocal sent
            self.cancellation.check()  # an interrupt must not wait for the upload of a large file
            sent += size
            self.meter.within(stages.PUBLISH, sent / max(1, whole))

        for output, info in zip(plan.outputs, verified, strict=True):
            path = folder / output.filename
            digest = sha256_of(path)
            stat = storage.put(path, output.key, content_type=output.content_type, on_bytes=count)
            self.recorder.outputs.append(OutputRecord(key=output.key, bytes=stat.bytes, sha256=digest, media_info=info))
            published.append(stat)
        return published


def _decoding_end(name: str, duration: float) -> Command:
    """Decode the last second: an index that points past the data, or a cut-off file, shows there if anywhere.

    ffmpeg begins at the key frame before it. The pictures are not smoothed (`-skip_loop_filter`): nobody looks at them.
    """
    options = ("-skip_loop_filter", "all", "-ss", f"{max(0.0, duration - 1.0):.3f}")
    return Command(
        inputs=(Input(name, options),),
        outputs=(Output("nowhere", ("-f", "null")),),
    )
