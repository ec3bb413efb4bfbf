"""What happens to jobs, told to many clients by one look at the database a second.

Each event is the present state of a job, so it does no harm to get one twice, and nothing is kept for those who come
back: what changed since their last event is read from the database again. The id of an event is the moment of the
change by the database's clock, in microseconds. So any server on the same database can go on with it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import anyio

from mediajobs_dagster.errors import MediaJobsError, TooManyClientsError
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.models import Job, JobStatus
from mediajobs_dagster.storage.redaction import redact_values
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.use_cases.references import NamedJob

_EVERY_S = 1.0
_KEEP_ALIVE_S = 15.0
"""A client that gets nothing else gets a comment so often: proxies keep the connection, and we see it break."""
_MOST_CLIENTS = 500
_BACKLOG = 1000
"""Events that wait for one client; one that is slower than that is sent away, and comes back to catch up."""
_AT_ONCE = 1000
"""More changes than that are not told one by one: the client has to read the list again."""
_RUNNING = 500
_OVERLAP = timedelta(seconds=5)
"""How far back each look goes: a change is seen when its transaction ends, which may be after later ones."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

RESET = "event: reset\ndata: {}\n\n"
"""Too much has changed to be told: read the list again."""

_log = logging.getLogger(__name__)

Mark = tuple[datetime, JobStatus, datetime | None]
"""What makes two states of a job differ: its change, its status, and the moment of its progress."""


@dataclass(frozen=True)
class Interest:
    """Which jobs a client wants to hear of."""

    job_id: str | None = None
    trace_id: str | None = None
    job_type: str | None = None

    def covers(self, job: Job) -> bool:
        """Whether it is one of them."""
        wanted = ((self.job_id, job.id), (self.trace_id, job.trace_id), (self.job_type, job.job_type))
        return all(asked is None or asked == value for asked, value in wanted)


@dataclass(eq=False)
class _Client:
    interest: Interest
    waiting: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(_BACKLOG))
    is_behind: bool = False

    def put(self, text: str) -> None:
        try:
            self.waiting.put_nowait(text)
        except asyncio.QueueFull:
            self.is_behind = True


@dataclass
class _Look:
    """What a look at the database has found."""

    jobs: list[NamedJob]
    cursor: datetime
    is_too_much: bool = False


class Live:
    """The events of one process. One poller works while there are clients, and ends after the last of them."""

    def __init__(
        self,
        media: MediaJobs,
        is_stopping: Callable[[], bool] = lambda: False,
        *,
        every_s: float = _EVERY_S,
        most_clients: int = _MOST_CLIENTS,
    ) -> None:
        self._media, self._is_stopping = media, is_stopping
        self._every_s, self._most_clients = every_s, most_clients
        self._clients: set[_Client] = set()
        self._poller: asyncio.Task[None] | None = None
        self._cursor: datetime | None = None
        self._seen: dict[str, Mark] = {}

    @property
    def clients(self) -> int:
        """How many follow at the moment."""
        return len(self._clients)

    @property
    def is_looking(self) -> bool:
        """Whether it looks at the database, and knows where it stands."""
        return self._poller is not None and not self._poller.done() and self._cursor is not None

    def check_room(self) -> None:
        """Raise TooManyClientsError when no further client is taken."""
        if len(self._clients) >= self._most_clients:
            raise TooManyClientsError

    async def follow(self, interest: Interest, last_id: str | None) -> AsyncGenerator[str]:
        """Server-sent events, until the client goes or the server stops. `last_id`: of the last event that it has.

        Who follows one job is told at once how it stands.
        """
        client = _Client(interest)
        self._clients.add(client)
        try:
            self._start()
            yield "retry: 2000\n\n"
            # Read only now: of a change before it, this tells; of one after it, the poller does.
            if interest.job_id is not None:
                yield await anyio.to_thread.run_sync(self._present, interest.job_id)
            elif (since := moment_of(last_id)) is not None:
                for text in await anyio.to_thread.run_sync(self._missed, interest, since):
                    yield text
            idle_s = 0.0
            while not (client.is_behind or self._is_stopping()):
                try:
                    text = await asyncio.wait_for(client.waiting.get(), timeout=self._every_s)
                except TimeoutError:
                    idle_s += self._every_s
                    if idle_s >= _KEEP_ALIVE_S:
                        idle_s = 0.0
                        yield ": still here\n\n"
                else:
                    idle_s = 0.0
                    yield text
        finally:
            self._clients.discard(client)

    def _start(self) -> None:
        if self._poller is None or self._poller.done():
            self._cursor = None
            self._poller = asyncio.create_task(self._poll())

    async def _poll(self) -> None:
        has_failed = False
        while self._clients and not self._is_stopping():
            try:
                look = await anyio.to_thread.run_sync(self._look)
                has_failed = False
            except MediaJobsError as error:  # the database is down: it may be back at the next look
                if not has_failed:
                    _log.warning("Events wait: %s", error.message)
                has_failed = True
            except Exception:  # noqa: BLE001  # the edge: the loop must not end while clients wait
                _log.exception("A look for events failed.")
            else:
                self._tell(look)
            await asyncio.sleep(self._every_s)

    def _look(self) -> _Look:
        """What has changed since the last look; the first one only finds out where to begin."""
        history = self._media.history
        running = history.jobs.list(JobFilter(statuses=(JobStatus.PROCESSING,)), limit=_RUNNING)
        if self._cursor is None:
            self._seen = {job.id: _mark_of(job) for job in running}
            return _Look([], history.now())
        changed = history.jobs.changed(self._cursor - _OVERLAP, limit=2 * _AT_ONCE)
        if len(changed) == 2 * _AT_ONCE:
            return _Look([], history.now(), is_too_much=True)
        found = {job.id: job for job in (*changed, *running)}
        fresh = [job for job in found.values() if self._seen.get(job.id) != _mark_of(job)]
        fresh = [job for job in fresh if job.id in self._seen or job.updated_at > self._cursor - _OVERLAP]
        # In the order of their changes, so that the id of the last event stands for all before it.
        fresh.sort(key=lambda job: job.updated_at)
        cursor = max((job.updated_at for job in changed), default=self._cursor)
        self._seen = {job.id: _mark_of(job) for job in found.values()}
        return _Look(self._media.named(fresh), max(cursor, self._cursor), is_too_much=len(fresh) > _AT_ONCE)

    def _tell(self, look: _Look) -> None:
        self._cursor = look.cursor
        if look.is_too_much:
            for client in self._clients:
                client.put(RESET)
            return
        for each in look.jobs:
            if following := [client for client in self._clients if client.interest.covers(each.job)]:
                text = event_of(each)
                for client in following:
                    client.put(text)

    def _present(self, job_id: str) -> str:
        return event_of(self._media.named([self._media.references.job(job_id)])[0])

    def _missed(self, interest: Interest, since: datetime) -> list[str]:
        changed = self._media.history.jobs.changed(since - _OVERLAP, limit=_AT_ONCE)
        if len(changed) == _AT_ONCE:
            return [RESET]
        return [event_of(each) for each in self._media.named([job for job in changed if interest.covers(job)])]


def event_of(named: NamedJob) -> str:
    """The event that tells how a job stands."""
    number = (named.job.updated_at - _EPOCH) // _MICROSECOND
    return f"id: {number}\nevent: job\ndata: {json.dumps(redact_values(named.to_json()))}\n\n"


def moment_of(event_id: str | None) -> datetime | None:
    """The moment that the id of an event stands for; None for anything else."""
    if event_id is None or not event_id.isascii() or not event_id.isdecimal() or len(event_id) > 17:
        return None
    return _EPOCH + int(event_id) * _MICROSECOND


def _mark_of(job: Job) -> Mark:
    return job.updated_at, job.status, job.progress.at if job.progress else None
