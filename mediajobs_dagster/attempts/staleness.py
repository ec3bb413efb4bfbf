"""Finds the subjects whose output is missing or stale, many side by side: a day may have a hundred thousand of them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from threading import Event

from mediajobs_dagster.attempts.freshness import unchanged_outputs
from mediajobs_dagster.history import History
from mediajobs_dagster.job_types.base import JobType, SourceUse
from mediajobs_dagster.models import JsonObject, Subject, Upload
from mediajobs_dagster.side_by_side import side_by_side
from mediajobs_dagster.storage import Storage

_PAGE = 500
"""Subjects that the history is asked about at once."""
_CHUNK = 20
"""Subjects that a thread asks the storage about, one after the other, before it takes the next."""
_THREADS = 32
"""Look-ups at once. They wait for the storage, so these may be more than there are cores."""
_BEAT_S = 1.0


@dataclass(frozen=True)
class _Page:
    """What the history knows of some subjects, by their ids."""

    results: Mapping[str, JsonObject]
    """What was made of them last."""
    uses: Mapping[str, tuple[SourceUse, ...]]
    """What a job reads, of those that have a result."""
    uploads: Mapping[str, Upload]
    """What is read."""


@dataclass(frozen=True)
class Staleness:
    """Tells for one job type whose outputs would be made anew by a job without parameters."""

    job_type: JobType
    history: History
    storage: Storage

    def stale(self, subjects: Iterable[Subject]) -> Generator[list[Subject]]:
        """Those of `subjects` without a fresh output, some at a time, nearly in their order.

        An empty list comes at least once a second while none is found. Memory does not grow with the number of
        subjects. What the history or the storage raises is raised here. Hand it to `contextlib.closing`.
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
        results = self.history.attempts.latest_results(self.job_type.name, [subject.id for subject in subjects])
        made = [subject for subject in subjects if subject.id in results]
        uses = {subject.id: self.job_type.source_uses(subject) for subject in made}
        uploads = {subject.id: subject for subject in made if isinstance(subject, Upload)}
        others = {use.upload_id for each in uses.values() for use in each} - uploads.keys()
        return _Page(results, uses, uploads | self.history.uploads.with_ids(sorted(others)) if others else uploads)

    # --- in a thread -------------------------------------------------------------------------------------------------

    def _stale_in(self, stopped: Event, chunk: tuple[_Page, list[Subject]]) -> list[Subject]:
        page, subjects = chunk
        return [subject for subject in subjects if not stopped.is_set() and not self._is_fresh(subject, page)]

    def _is_fresh(self, subject: Subject, page: _Page) -> bool:
        result = page.results.get(subject.id)
        if result is None:
            return False
        etag = self._etag(subject, page)
        if etag is None:
            return False  # a source is gone: the attempt will say so
        return unchanged_outputs(result, self.job_type.fingerprint({}, etag), self.storage) is not None

    def _etag(self, subject: Subject, page: _Page) -> str | None:
        """Names the content that a job would read now; None where some of it is gone."""
        etags: dict[str, str] = {}
        for use in page.uses[subject.id]:
            upload = page.uploads.get(use.upload_id)
            content = self.storage.find(upload.storage_key) if upload else None
            if content is None:
                return None
            etags[use.upload_id] = content.etag
        return self.job_type.etag_of(subject, etags)
