"""One try at a job, from top to bottom:

    check → fetch → probe → plan → ffmpeg → verify → publish → record, and enqueue children

Whatever happens on the way, the attempt ends with exactly one history row and one manifest, nothing half-written under
a final key, and nothing left in scratch.
"""

from __future__ import annotations

import errno
import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from mediajobs_dagster.attempts import recorder as stages
from mediajobs_dagster.attempts.fetch import SOURCE, Fetched
from mediajobs_dagster.attempts.freshness import fresh_outputs
from mediajobs_dagster.attempts.manifest import OutputRecord
from mediajobs_dagster.attempts.observer import Observer
from mediajobs_dagster.attempts.outcome import Outcome, UpToDate, Work, settle
from mediajobs_dagster.attempts.recorder import Recorder
from mediajobs_dagster.attempts.verify import sha256_of, verify
from mediajobs_dagster.attempts.worker import Worker
from mediajobs_dagster.errors import CancelledError, DiskFullError, InternalError, MediaJobsError
from mediajobs_dagster.history import Claim
from mediajobs_dagster.job_types.base import Plan, Source, Step
from mediajobs_dagster.media.cancellation import Cancellation
from mediajobs_dagster.media.command import Command, Input, Output
from mediajobs_dagster.media.probe import probe
from mediajobs_dagster.media.run import Made
from mediajobs_dagster.media.stderr import Faults
from mediajobs_dagster.models import MediaInfo, Upload
from mediajobs_dagster.storage import ObjectStat, Storage, redact

_log = logging.getLogger(__name__)


def make_attempt(claim: Claim, worker: Worker, observer: Observer, cancellation: Cancellation) -> Outcome:
    """Make the attempt that was claimed, and put it on record.

    A failure is an outcome, not an exception. What interrupts the process (KeyboardInterrupt, a run's termination) is
    put on record too, and then goes on its way.
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
        interrupted = CancelledError("The worker was told to stop while it made this attempt.")
        observer.ended(settle(claim, worker, recorder, interrupted, interrupted=True))
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

    def work(self) -> Work:
        """Everything between the claim and the record; raises UpToDate when there is nothing to do."""
        job, recorder = self.claim.job, self.recorder
        recorder.ffmpeg_version, recorder.bucket = self.worker.runner.tools.version, self.worker.storage.bucket
        job_type = self.worker.registry[job.job_type]
        params = job_type.parse(job.params)
        storage = self.worker.storage.observed(recorder.add_storage_op)

        with self.worker.scratch.attempt_folder(self.claim.attempt.id) as folder:
            with recorder.timed(stages.CHECK):
                upload = self.worker.history.uploads.get(job.subject_id)
                recorder.describe_input(upload)
                content = storage.stat(upload.storage_key)
                fingerprint = job_type.fingerprint(job.params, content.etag)
                fresh = (
                    None
                    if job.force
                    else fresh_outputs(self.worker.history, storage, job_type.name, upload.id, fingerprint)
                )
            if fresh is not None:
                raise UpToDate(fingerprint, fresh)

            with recorder.timed(stages.FETCH):
                fetched = self.worker.shelf.fetch(content, job_type.access, storage, folder)
                recorder.stands_for(fetched.argument, upload.storage_key)
            with recorder.timed(stages.PROBE):
                recorder.info = info = self._probe_source(fetched, upload, folder)
                if info.main_video and info.main_video.is_hdr:
                    recorder.notes.append(f"The source is HDR ({info.main_video.transfer}) and is not tone-mapped.")
            with recorder.timed(stages.PLAN):
                plan = job_type.plan(Source(upload, info), params)
                what = f"making {', '.join(job_type.output_keys(upload.id))}"
                self.worker.scratch.require(content.bytes, what, keep=(folder / SOURCE).resolve())
            with recorder.timed(stages.FFMPEG):
                lengths = self._make(plan, fetched, folder)
            with recorder.timed(stages.VERIFY):
                verified = self._verify(plan, folder, lengths)
            with recorder.timed(stages.PUBLISH):
                published = self._publish(plan, verified, folder, storage)
        for child in plan.children:
            self.worker.registry[child.job_type]  # an unknown one must fail the attempt, not its record
        return Work(fingerprint, plan, upload, published)

    def _probe_source(self, fetched: Fetched, upload: Upload, folder: Path) -> MediaInfo:
        info = self.worker.shelf.probed(fetched.content)
        if info is None:
            info = self._probe(fetched.argument, folder, size=fetched.content.bytes)
            self.worker.shelf.remember(fetched.content, info)
        if upload.media_info != info:
            self.worker.history.uploads.set_media_info(upload.id, info)
        return info

    def _probe(self, name: str, folder: Path, *, size: int | None = None) -> MediaInfo:
        report, cancel = self.recorder.add_command, self.cancellation
        return probe(self.worker.runner, name, cwd=folder, size=size, report=report, cancel=cancel)

    def _make(self, plan: Plan, fetched: Fetched, folder: Path) -> dict[str, float | None]:
        """Make every output in `folder`; the seconds of media that ffmpeg says it wrote into each."""
        lengths: dict[str, float | None] = {}
        for output in plan.outputs:
            self.recorder.stands_for(output.filename, output.key)
            if output.literal is not None:
                (folder / output.filename).write_bytes(output.literal)
        for step in plan.steps:
            if step.only_without is None or not (folder / step.only_without).exists():
                made = self._run_step(step, fetched, folder)
                lengths |= {output.target: made.out_seconds for output in step.command.outputs}
        return lengths

    def _run_step(self, step: Step, fetched: Fetched, folder: Path) -> Made:
        sink = step.sink(folder) if step.sink else None
        try:
            return self._run(_reading(fetched.argument, step.command), folder, sink.write if sink else None)
        finally:
            if sink:
                sink.close()

    def _run(self, command: Command, folder: Path, on_data: Callable[[bytes], None] | None = None) -> Made:
        made = self.worker.runner.run(
            command,
            cwd=folder,
            on_progress=lambda progress: self.observer.progress(self.claim.job, progress),
            on_data=on_data,
            cancel=self.cancellation,
            report=self.recorder.add_command,
        )
        if made.faults != Faults():
            self.recorder.notes.append(f"ffmpeg complained about its input, too little to refuse it: {made.faults}.")
        return made

    def _verify(self, plan: Plan, folder: Path, lengths: dict[str, float | None]) -> list[MediaInfo | None]:
        def probe_output(name: str) -> MediaInfo:
            return self._probe(name, folder)

        def decode_end(name: str, duration: float) -> None:
            self._run(_decoding_end(name, duration), folder)

        verified = [
            verify(output, folder, probe_output, decode_end, lengths.get(output.filename)) for output in plan.outputs
        ]
        for output, info in zip(plan.outputs, verified, strict=True):
            declared, tolerance = output.expected.duration_seconds, output.expected.duration_tolerance
            if info and declared and tolerance and abs(info.duration_seconds - declared) > tolerance:
                self.recorder.notes.append(
                    f"{output.filename} lasts {info.duration_seconds:.3f} s, its source declares {declared:.3f} s."
                )
        return verified

    def _publish(
        self, plan: Plan, verified: list[MediaInfo | None], folder: Path, storage: Storage
    ) -> list[ObjectStat]:
        self.cancellation.check()
        published: list[ObjectStat] = []
        for output, info in zip(plan.outputs, verified, strict=True):
            path = folder / output.filename
            digest = sha256_of(path)
            stat = storage.put(path, output.key, content_type=output.content_type)
            self.recorder.outputs.append(OutputRecord(key=output.key, bytes=stat.bytes, sha256=digest, media_info=info))
            published.append(stat)
        return published


def _reading(argument: str, command: Command) -> Command:
    """`command` with the source where it really is."""
    return replace(
        command,
        inputs=tuple(
            replace(part, source=argument) if isinstance(part, Input) and part.source == SOURCE else part
            for part in command.inputs
        ),
    )


def _decoding_end(name: str, duration: float) -> Command:
    """Decode the last second: an index that points past the data, or a cut-off file, shows there if anywhere."""
    return Command(
        inputs=(Input(name, ("-ss", f"{max(0.0, duration - 1.0):.3f}")),),
        outputs=(Output("nowhere", ("-f", "null")),),
    )
