"""The root: opens what a process works with, and holds the use cases.

The command line, sensors, runs and programs of your own all work through `MediaJobs`. Its methods take and return
frozen values; whatever has to be shown to a program is their `to_json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

from mediajobs_dagster.attempts.once import Once
from mediajobs_dagster.errors import NotFoundError, RequestError
from mediajobs_dagster.history import (
    AttemptFilter,
    ExportFormat,
    Frame,
    History,
    JobFilter,
    StatisticsReport,
    attempt_frame,
    export,
    export_parquet,
    job_frame,
    stage_frame,
)
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.listeners import Listener, Listeners
from mediajobs_dagster.models import Attempt, Job, JobStatus, JsonObject, SubjectKind, new_trace_id
from mediajobs_dagster.records import JobQueued
from mediajobs_dagster.resilience.breaker import Breaker, BreakerState
from mediajobs_dagster.resilience.dispatch import Dispatcher
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage, open_storage

# Use cases import what they need themselves: to list jobs, nobody has to wait for the renderer of timelines.
if TYPE_CHECKING:
    from mediajobs_dagster.answers import ExportPlan, JobDetails, JobResult, TraceResult, WrittenTimeline
    from mediajobs_dagster.attempts.checkup import Checks, Finding
    from mediajobs_dagster.attempts.manifest import Manifest
    from mediajobs_dagster.attempts.worker import Worker
    from mediajobs_dagster.intake.adding import Added, Adding, AddingListener, Inspection
    from mediajobs_dagster.intake.exports import Prepared, Requested
    from mediajobs_dagster.intake.intake import Order
    from mediajobs_dagster.job_types.video_export.encoding import ExportParams


class MediaJobs:
    """One mediajobs: its settings, history, storage and job types, and all that can be asked of them.

    Each part is opened when it is first needed, once a process; a process that was forked off opens its own. Threads
    may share it. As a context it closes at the end what was opened in it. Every method may raise what the history
    raises (DatabaseUnavailableError, DatabaseBusyError), and SettingsError when a setting cannot be used.
    """

    def __init__(self, settings: Settings | None = None, registry: Registry | None = None) -> None:
        """Open nothing yet. By default the settings are those of the environment, and the job types all there are."""
        self._given_settings, self._given_registry = settings, registry
        self._history = Once(self._open_history)
        self._storage = Once(lambda: open_storage(self.settings))
        self._breaker_states: dict[str, BreakerState] = {}

    @classmethod
    def open(cls, **settings: object) -> MediaJobs:
        """The mediajobs of this environment; each of `settings` wins over its variable, such as `home="/data"`.

        Raises SettingsError when a value cannot be used.
        """
        return cls(Settings.load(**settings))

    def close(self) -> None:
        """Close what this process has opened."""
        self._storage.forget()
        if history := self._history.forget():
            history.close()

    def __enter__(self) -> MediaJobs:
        """Use it in a `with` statement, which closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close what was opened."""
        self.close()

    # --- the parts ---------------------------------------------------------------------------------------------------

    @cached_property
    def settings(self) -> Settings:
        """The settings, read when they are first needed."""
        return self._given_settings or Settings.load()

    @cached_property
    def registry(self) -> Registry:
        """The job types."""
        return self._given_registry or Registry.standard()

    @cached_property
    def listeners(self) -> Listeners:
        """Who is told what happens in this process. Raises SettingsError when one cannot be loaded."""
        return Listeners.of(self.settings)

    def listen(self, *listeners: Listener) -> None:
        """Tell these listeners, too, what happens from now on."""
        self.listeners = self.listeners.also(*listeners)

    @property
    def history(self) -> History:
        """What was asked and what happened."""
        return self._history.get()

    @property
    def storage(self) -> Storage:
        """The objects."""
        return self._storage.get()

    @property
    def dispatcher(self) -> Dispatcher:
        """The way from the queue into runs."""
        return Dispatcher(
            self.history, Breaker.of(self.settings), self.settings.lease_s, self.listeners, self._breaker_states
        )

    def worker(
        self, *, after_interrupt: Callable[[], JobStatus] = lambda: JobStatus.QUEUED
    ) -> AbstractContextManager[Worker]:
        """What attempts are made with, for a `with` statement.

        `after_interrupt` says what becomes of a job whose attempt is interrupted.
        """
        from mediajobs_dagster.attempts.worker import Worker

        return Worker.open(
            self.settings, self.registry, self.history, lambda: self.storage, after_interrupt=after_interrupt
        )

    def _open_history(self) -> History:
        return History.open(self.settings.database_url, timeout_s=self.settings.database_timeout_s)

    # --- adding media ------------------------------------------------------------------------------------------------

    def add(
        self,
        *locations: str | Path,
        types: Sequence[str] | None = None,
        priority: int = 0,
        force: bool = False,
        trace_id: str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        keep: bool = True,
        listener: AddingListener | None = None,
    ) -> Added:
        """Register media and enqueue jobs on it, all as one trace; the same file, unchanged, is the same upload.

        A location is a file, a folder with all below it, an `s3://` address, or one that ends with `/` for all below
        it. `types` are names of job types; None: all, none: the media is only registered. `include` and `exclude` are
        shell patterns of names or paths. Without `keep` the answer counts the uploads of a folder and does not list
        them. Raises RequestError for a location that does not exist, FfmpegMissingError, and StorageError; what is
        registered by then stays.
        """
        order = self._order(types, trace_id or new_trace_id(), priority=priority, force=force)
        return self._adding(locations, order, include, exclude, listener).take(keep=keep)

    def inspect(
        self,
        *locations: str | Path,
        types: Sequence[str] | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        listener: AddingListener | None = None,
    ) -> Inspection:
        """What `add` would do with the same arguments; nothing is stored or registered. Raises as `add`."""
        return self._adding(locations, self._order(types, new_trace_id()), include, exclude, listener).inspect()

    def _order(self, types: Sequence[str] | None, trace_id: str, *, priority: int = 0, force: bool = False) -> Order:
        from mediajobs_dagster.intake.intake import Order

        return Order(
            self.registry.of_uploads() if types is None else tuple(self._of_uploads(name) for name in types),
            by_name=types is not None,
            trace_id=trace_id,
            priority=priority,
            max_attempts=self.settings.max_attempts,
            force=force,
        )

    def _adding(
        self,
        locations: Sequence[str | Path],
        order: Order,
        include: Sequence[str],
        exclude: Sequence[str],
        listener: AddingListener | None,
    ) -> Adding:
        from mediajobs_dagster.intake.adding import Adding, AddingListener

        return Adding(
            self.settings,
            self.history,
            self.storage,
            self.registry,
            self.listeners,
            tuple(map(str, locations)),
            order,
            tuple(include),
            tuple(exclude),
            listener or AddingListener(),
        )

    def _of_uploads(self, name: str) -> JobType:
        job_type = self.registry[name]
        if job_type.subject is not SubjectKind.UPLOAD:
            raise RequestError(f"{name} is not made of an upload. Ask for it with `mediajobs export TIMELINE`.")
        return job_type

    # --- exports of timelines ----------------------------------------------------------------------------------------

    def prepare_export(self, timeline: Path | str | JsonObject, *, rate: Fraction | None = None) -> Prepared:
        """Check a timeline: a file, or a document in the format `create_video_v1`. Nothing is enqueued.

        `rate` is the frame rate of an edit decision list. Raises RequestError when the file cannot be read, and
        TimelineError, which lists every fault.
        """
        from mediajobs_dagster.intake.exports import Exports
        from mediajobs_dagster.timelines.documents import read_document

        exports = Exports(self.history, self.storage)
        if isinstance(timeline, dict):
            return exports.prepare(timeline)
        document = read_document(Path(timeline), rate=rate)
        return exports.prepare(document.content, document.faults, notes=document.notes)

    def plan_export(self, prepared: Prepared, params: ExportParams | None = None) -> ExportPlan:
        """What would be run for a timeline, and what that would take.

        Raises FfmpegMissingError, and HdrUnsupportedError.
        """
        from mediajobs_dagster.answers import ExportPlan
        from mediajobs_dagster.attempts.forecast import forecast
        from mediajobs_dagster.attempts.machine import ThisMachine
        from mediajobs_dagster.intake.exports import preview
        from mediajobs_dagster.job_types.video_export.encoding import ExportParams
        from mediajobs_dagster.media.run import Runner

        params, runner = params or ExportParams(), Runner.from_settings(self.settings)
        planned = preview(prepared, params, ThisMachine(lambda: runner))
        commands = tuple(("ffmpeg", *command.arguments(runner.guards)) for command in planned.commands)
        return ExportPlan(planned, commands, forecast(self.history, planned.layout, params), prepared.notes)

    def export(
        self,
        timeline: Prepared | Path | str | JsonObject,
        *,
        params: ExportParams | None = None,
        priority: int = 0,
        trace_id: str | None = None,
        force: bool = False,
    ) -> Requested:
        """Enqueue the rendering of a timeline; the same edit of the same content is rendered once, unless with `force`.

        Raises as `prepare_export`, and StorageMissingError.
        """
        from mediajobs_dagster.intake.exports import Exports, Prepared

        prepared = timeline if isinstance(timeline, Prepared) else self.prepare_export(timeline)
        requested = Exports(self.history, self.storage).request(
            prepared,
            params=params.to_json() if params else None,
            trace_id=trace_id,
            priority=priority,
            max_attempts=self.settings.max_attempts,
            force=force,
        )
        if requested.created:
            self.listeners.tell(JobQueued(job=requested.job))
        return requested

    def write_otio(self, prepared: Prepared, path: Path) -> WrittenTimeline:
        """Write a timeline to an .otio file, for other programs. Raises RequestError when it cannot be written."""
        from mediajobs_dagster.answers import WrittenTimeline
        from mediajobs_dagster.timelines.otio.writing import write_otio

        return WrittenTimeline(path, (*prepared.notes, *write_otio(prepared.timeline, prepared.uploads, path)))

    # --- jobs --------------------------------------------------------------------------------------------------------

    def jobs(self, filter: JobFilter | None = None, *, limit: int = 50, after: str | None = None) -> list[Job]:
        """One page of jobs, the newest first; `after` is the last id of the page before. Raises NotFoundError."""
        return self.history.jobs.list(filter or JobFilter(), limit=limit, after=after)

    def job(self, job_id: str) -> JobDetails:
        """A job, its attempts and its children. Raises NotFoundError."""
        from mediajobs_dagster.answers import JobDetails

        history = self.history
        job, attempts = history.jobs.get(job_id), history.attempts.of_job(job_id)
        return JobDetails(job, tuple(attempts), tuple(history.jobs.list(JobFilter(parent_job_id=job_id))))

    def retry(self, job_id: str, *, force: bool = False) -> Job:
        """Put a failed or finished job back into the queue; `force` makes its output again even if it is up to date.

        Raises NotFoundError, and IllegalTransitionError for a job that is queued or processing.
        """
        job = self.history.jobs.retry(job_id, force=force)
        self.listeners.tell(JobQueued(job=job))
        return job

    def cancel(self, job_id: str) -> Job:
        """Call a job off; one that is being worked on is stopped at its worker's next heartbeat.

        Raises NotFoundError, and IllegalTransitionError when the job is final already.
        """
        return self.history.jobs.cancel(job_id)

    def trace(self, trace_id: str) -> TraceResult:
        """What became of the newest 50 jobs of a trace, the oldest of them first."""
        from mediajobs_dagster.answers import TraceResult

        found = sorted(self.jobs(JobFilter(trace_id=trace_id)), key=lambda job: job.id)
        return TraceResult(trace_id, tuple(self._result(job) for job in found))

    def _result(self, job: Job) -> JobResult:
        from mediajobs_dagster.answers import JobResult
        from mediajobs_dagster.attempts.subjects import resolver_of

        subject = resolver_of(self.registry[job.job_type].subject, self.history).get(job.subject_id)
        attempts = self.history.attempts.of_job(job.id)
        latest = attempts[-1] if attempts else None
        made: Sequence[JsonObject] = (latest.result or {}).get("outputs", []) if latest else []
        return JobResult(job, subject.title, latest, tuple(self.place_of(each["key"]) for each in made))

    def place_of(self, key: str) -> str:
        """Where an object lies: a path on this machine, or an address."""
        local = self.storage.local_path(key)
        return str(local) if local else f"{self.storage.url.rstrip('/')}/{key}"

    # --- attempts ----------------------------------------------------------------------------------------------------

    def attempt(self, attempt_id: str) -> Manifest:
        """The manifest of an attempt, or of the latest attempt at a job. Raises NotFoundError."""
        from mediajobs_dagster.attempts.manifest import Manifest

        try:
            found = self.history.attempts.get(attempt_id)
        except NotFoundError:
            of_job = self.history.attempts.of_job(attempt_id)
            if not of_job:
                raise
            found = of_job[-1]
        if found.manifest is None:
            raise NotFoundError(f"Attempt {attempt_id} is {found.status} and has no manifest yet.")
        return Manifest.model_validate(found.manifest)

    def attempts(self, filter: AttemptFilter | None = None, *, with_manifest: bool = False) -> Iterator[Attempt]:
        """All attempts that fit, the newest first, read a page at a time."""
        return self.history.attempts.iterate(filter or AttemptFilter(), with_manifest=with_manifest)

    def statistics(self, filter: AttemptFilter | None = None) -> StatisticsReport:
        """What the attempts that fit add up to."""
        return self.history.statistics.of(filter or AttemptFilter())

    def export_history(
        self,
        out: IO[str],
        format: ExportFormat = "jsonl",
        filter: AttemptFilter | None = None,
        *,
        with_manifest: bool = False,
    ) -> int:
        """Write the attempts that fit to `out`, the newest first; returns how many. See `history.export`."""
        return export(self.attempts(filter, with_manifest=with_manifest), format, out)

    def export_history_parquet(self, out: IO[bytes], filter: AttemptFilter | None = None) -> int:
        """Write the attempts that fit to `out` as a Parquet file; returns how many. Raises ExtraMissingError."""
        return export_parquet(self.attempts(filter), out)

    # --- data frames, for notebooks ----------------------------------------------------------------------------------

    def attempt_frame(self, filter: AttemptFilter | None = None) -> Frame:
        """The attempts that fit as a data frame, a row each, with the columns of `history.frames.ATTEMPT_COLUMNS`."""
        return attempt_frame(self.history, filter or AttemptFilter())

    def job_frame(self, filter: JobFilter | None = None) -> Frame:
        """The jobs that fit as a data frame, a row each."""
        return job_frame(self.history, filter or JobFilter())

    def stage_frame(self, filter: AttemptFilter | None = None) -> Frame:
        """The stages of the attempts that fit as a data frame, a row each."""
        return stage_frame(self.history, filter or AttemptFilter())

    # --- the machine -------------------------------------------------------------------------------------------------

    def doctor(self, also: Checks | None = None) -> tuple[Finding, ...]:
        """Check ffmpeg, database, storage, disk and versions; each finding says how to mend what is not fine.

        `also` are further checks, of what this floor does not know.
        """
        from mediajobs_dagster.attempts.checkup import check_up

        return check_up(self.settings, lambda: self.history, lambda: self.storage, also or {})

    def check(self) -> str:
        """Open the history, which is made or migrated where need be; which database it is, in words."""
        return self.history.check()
