"""Renews the leases of a run's jobs while it works, and notices when a job was cancelled or its lease was lost.

Each beat also stores how far the jobs are, in the statement that renews the leases: it costs no write of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from mediajobs_dagster.attempts.measures import PERSIST_FAILURES, counted
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import CancelledError, MediaJobsError, WorkerLostError
from mediajobs_dagster.history import History
from mediajobs_dagster.media.command import without_guards
from mediajobs_dagster.models import JobProgress, JobStatus
from mediajobs_dagster.records import AttemptProgressed, CommandEnded, CommandStarted, Record, StageStarted

_log = logging.getLogger(__name__)

_COMMAND_CHARS = 4_000
"""Of a longer command only the beginning is stored with a heartbeat; the manifest will have all of it."""


class Heartbeat:
    """A context in which the leases of one dispatch are renewed, three times per lease."""

    def __init__(self, history: History, dispatch_id: str, *, lease_s: float) -> None:
        self._history, self._dispatch_id, self._lease_s = history, dispatch_id, lease_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="mediajobs-heartbeat", daemon=True)
        self._lock = threading.Lock()
        self._watched: dict[str, Cancellation] = {}
        self._progress: dict[str, dict[str, Any]] = {}
        """What is known of each job that is watched and has reported something: the fields of a `JobProgress`."""
        self._ended_with: MediaJobsError | None = None

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    @contextmanager
    def watching(self, job_id: str) -> Generator[Cancellation]:
        """A token that is cancelled when the job is cancelled or its lease is lost."""
        token = Cancellation()
        with self._lock:
            self._watched[job_id] = token
            if self._ended_with is not None:
                token.cancel(self._ended_with)
        try:
            yield token
        finally:
            with self._lock:
                del self._watched[job_id]
                self._progress.pop(job_id, None)

    def take(self, record: Record) -> None:
        """Take a record of an attempt: a listener. The next beat stores how far the attempt is."""
        match record:
            case StageStarted():
                self._report(record.key.job_id, {"stage": record.stage, "at": record.at, "command": ()})
            case CommandStarted():
                self._report(record.key.job_id, {"command": record.argv, "at": record.at})
            case CommandEnded():
                self._report(record.key.job_id, {"command": (), "at": record.at})
            case AttemptProgressed():
                self._report(record.key.job_id, {**dict(record.progress), "at": record.at})
            case _:
                pass

    def _report(self, job_id: str | None, change: dict[str, Any]) -> None:
        with self._lock:
            if job_id in self._watched:
                self._progress.setdefault(job_id, {}).update(change)

    def end_all(self, error: MediaJobsError) -> None:
        """Cancel every job that is watched, now or later, with `error`. The leases are still renewed."""
        with self._lock:
            self._ended_with = error
        self._cancel_all(error)

    def _beat(self) -> None:
        renewed, missed = time.monotonic(), 0
        while not self._stop.wait(self._lease_s / 3):
            try:
                self._renew()
                renewed = time.monotonic()
                self._history.series.add(counted(PERSIST_FAILURES, missed))
                missed = 0
            except Exception as error:  # noqa: BLE001  # whatever it is, a missed beat must not be the last one
                missed += 1
                _log.warning("The leases of dispatch %s could not be renewed: %s", self._dispatch_id, error)
                if time.monotonic() - renewed > self._lease_s:
                    self._cancel_all(WorkerLostError("The database was out of reach for longer than the lease."))

    def _renew(self) -> None:
        watched = self._tokens()  # first, because a job that is claimed after the renewal is not in its answer
        with self._lock:
            progress = {job_id: _stored(JobProgress(**known)) for job_id, known in self._progress.items()}
        statuses = self._history.leases.renew(self._dispatch_id, lease_s=self._lease_s, progress=progress)
        for job_id, token in watched:
            if statuses.get(job_id) is not JobStatus.PROCESSING:
                token.cancel(self._why(job_id))

    def _why(self, job_id: str) -> MediaJobsError:
        if self._history.jobs.get(job_id).status is JobStatus.CANCELLED:
            return CancelledError("The job was cancelled while this attempt was under way.")
        return WorkerLostError("The job was taken away: its lease had run out.")

    def _cancel_all(self, error: MediaJobsError) -> None:
        for _, token in self._tokens():
            token.cancel(error)

    def _tokens(self) -> list[tuple[str, Cancellation]]:
        with self._lock:
            return list(self._watched.items())


def _stored(progress: JobProgress) -> JobProgress:
    """What is kept of it: the command without the options that all have, and not too long."""
    kept, left = list[str](), _COMMAND_CHARS
    for argument in without_guards(progress.command):
        if len(argument) > left:
            kept.append(f"{argument[:left]}…")
            break
        kept.append(argument)
        left -= len(argument)
    return progress.model_copy(update={"command": tuple(kept)})
