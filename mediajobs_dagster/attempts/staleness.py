"""Finds the subjects whose output is missing or stale, many at once: a day may have a hundred thousand subjects.

What is known not to work is not among them: the newest job is dead, its input is to blame, and the same work on the
same content would fail again.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from threading import Event

from mediajobs_dagster.attempts.freshness import unchanged_outputs
from mediajobs_dagster.attempts.subjects import etag_with, key_in
from mediajobs_dagster.errors import Blame
from mediajobs_dagster.history import History
from mediajobs_dagster.job_types.base import JobType
from mediajobs_dagster.job_types.material import OutputUse, SourceUse
from mediajobs_dagster.models import JobStatus, JsonObject, Subject, Upload
from mediajobs_dagster.side_by_side import side_by_side
from mediajobs_dagster.storage import ObjectStat, Storage

_PAGE = 500
"""Subjects per query of the history."""
_CHUNK = 20
"""Subjects that a thread looks up in the storage, one after the other, before it takes the next chunk."""
_THREADS = 32
"""Look-ups at once. They wait for the storage, so there may be more of them than cores."""
_BEAT_S = 1.0


@dataclass(frozen=True)
class _Page:
    """What the history knows about one page of subjects."""

    results: Mapping[str, JsonObject]
    """The result of the attempt that made the current outputs of each, by subject id."""
    dead: Mapping[str, str]
    """The idempotency key of the newest job of each, by subject id, where it is dead and its input is to blame."""
    uses: Mapping[str, tuple[SourceUse, ...]]
    """The uploads that a job reads, by subject id; only of subjects with a result or a dead job."""
    uploads: Mapping[str, Upload]
    """These uploads, by upload id."""
    read: Mapping[OutputUse, Mapping[str, JsonObject]]
    """For each file of another job type that a job reads, the result of the success that made it, by subject id."""


@dataclass(frozen=True)
class Staleness:
    """Finds the subjects for which a job of one type, without parameters, would make its output again."""

    job_type: JobType
    history: History
    storage: Storage

    def stale(self, subjects: Iterable[Subject]) -> Generator[list[Subject]]:
        """The subjects whose output is missing or stale and may be made, in lists, roughly in their order.

        While none is found, it yields an empty list at least once a second. Memory does not grow with the number of
        subjects. Raises what the history or the storage raises. Wrap it in `contextlib.closing`.
        """
        stopped = Event()
        look_up = partial(self._stale_in, stopped)
        pages = self._pages(subjects)
        with closing(side_by_side(look_up, pages, threads=_THREADS, beat_s=_BEAT_S, stop=stopped.set)) as found:
            for stale in found:
                yield stale or []

    def _pages(self, subjects: Iterable[Subject]) -> Iterator[tuple[_Page, list[Subject]]]:
        rest = iter(subjects)
        while several := list(islice(rest, _PAGE)):
            page = self._page(several)
            for start in range(0, len(several), _CHUNK):
                yield page, several[start : start + _CHUNK]

    def _page(self, subjects: list[Subject]) -> _Page:
        name, ids = self.job_type.name, [subject.id for subject in subjects]
        results = self.history.current.results(name, ids)
        newest = self.history.days.newest_jobs(name, ids)
        dead = {
            each: job.key for each, job in newest.items() if (job.status, job.blame) == (JobStatus.DEAD, Blame.INPUT)
        }
        known = [subject for subject in subjects if subject.id in results or subject.id in dead]
        uses = {subject.id: self.job_type.source_uses(subject) for subject in known}
        uploads = {subject.id: subject for subject in known if isinstance(subject, Upload)}
        others = {use.upload_id for each in uses.values() for use in each} - uploads.keys()
        if others:
            uploads |= self.history.uploads.with_ids(sorted(others))
        read = {use: self.history.current.results(use.job_type, ids) for use in self.job_type.reads}
        return _Page(results, dead, uses, uploads, read)

    # --- in a thread -------------------------------------------------------------------------------------------------

    def _stale_in(self, stopped: Event, chunk: tuple[_Page, list[Subject]]) -> list[Subject]:
        page, subjects = chunk
        return [subject for subject in subjects if not stopped.is_set() and self._is_due(subject, page)]

    def _is_due(self, subject: Subject, page: _Page) -> bool:
        result, dead = page.results.get(subject.id), page.dead.get(subject.id)
        if any(subject.id not in made for made in page.read.values()):
            return False  # what it is made of is not there yet
        if result is None and dead is None:
            return True
        etag = self._etag(subject, page)
        if etag is None:
            return True  # a source is gone: the attempt will say so
        fingerprint = self.job_type.fingerprint({}, etag)
        if dead is not None and dead.startswith(self.job_type.key(subject.id, fingerprint)):
            return False
        return result is None or unchanged_outputs(result, fingerprint, self.storage) is None

    def _etag(self, subject: Subject, page: _Page) -> str | None:
        """Identifies the content that a job would read now; None if some of it is gone."""
        etags: dict[str, str] = {}
        for use in page.uses[subject.id]:
            upload = page.uploads.get(use.upload_id)
            content = self.storage.find(upload.storage_key) if upload else None
            if content is None:
                return None
            etags[use.upload_id] = content.etag
        outputs: list[ObjectStat] = []
        for use, made in page.read.items():
            key = key_in(made.get(subject.id), use.filename)
            content = self.storage.find(key) if key else None
            if content is None:
                return None
            outputs.append(content)
        return etag_with(self.job_type.etag_of(subject, etags), outputs)
