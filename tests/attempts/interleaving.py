"""Attempts that are frozen, woken, killed, cancelled and recovered in an order that a seed decides.

Each attempt works in a thread, with connections of its own, as if it were a process. Before and after each transaction
and each storage operation, and while it writes an object, it stops, and goes on when its turn comes. An attempt that is
killed never gets another turn: whatever it would have cleaned up stays.
"""

from __future__ import annotations

import copy
import random
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from typing_extensions import override

from mediajobs_dagster.attempts.attempt import make_attempt
from mediajobs_dagster.attempts.once import Once
from mediajobs_dagster.attempts.outcome import AttemptEnded
from mediajobs_dagster.attempts.recovery import RunState, recover
from mediajobs_dagster.attempts.withdrawal import keys_of, withdraw
from mediajobs_dagster.cancellation import Cancellation
from mediajobs_dagster.errors import IllegalTransitionError
from mediajobs_dagster.history import Claim
from mediajobs_dagster.listeners import Listeners
from mediajobs_dagster.models import AttemptStatus, Job, JobStatus, result_origin
from mediajobs_dagster.storage import ObjectStat, OnBytes, Storage, Unfinished
from mediajobs_dagster.system import MediaJobs

_TURN_S = 120.0
Gate = Callable[[], None]


class Killed(BaseException):
    """The process is gone: nothing more of it happens."""


class Actor:
    """A thread that does something in turns."""

    def __init__(self, name: str, work: Callable[[Gate], None]) -> None:
        self.name = name
        self.is_over = self.is_killed = False
        self.error: BaseException | None = None
        self._is_buried = False
        self._turn, self._arrived = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it may get another turn."""
        return not (self.is_over or self.is_killed)

    def step(self) -> None:
        """Let it go on until it stops again."""
        self._turn.release()
        assert self._arrived.acquire(timeout=_TURN_S), f"{self.name} hangs"

    def finish(self) -> None:
        """Let it go on to its end."""
        while not self.is_over:
            self.step()

    def bury(self) -> None:
        """Let the thread end; no cleaning up reaches history or storage."""
        self._is_buried = True
        self._turn.release()
        self._thread.join(_TURN_S)

    def _run(self, work: Callable[[Gate], None]) -> None:
        self._turn.acquire()
        try:
            self._check()
            work(self._gate)
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001  # the test asserts that there is none
            self.error = error
        self.is_over = True
        self._arrived.release()

    def _gate(self) -> None:
        self._check()
        self._arrived.release()
        self._turn.acquire()
        self._check()

    def _check(self) -> None:
        # A thread of the S3 library only ends its transfer.
        if self._is_buried and threading.current_thread() is self._thread:
            raise Killed


def gated_storage(storage: Storage, gate: Gate) -> Storage:
    """The same storage, with a stop before and after each operation and after each piece that is written."""

    class Gated(type(storage)):
        @override
        def _head(self, key: str) -> ObjectStat:
            gate()
            return super()._head(key)

        @override
        def _fetch(self, key: str, file: BinaryIO, moved: OnBytes, *, limit: int | None) -> ObjectStat:
            gate()
            return super()._fetch(key, file, moved, limit=limit)

        @override
        def _store(self, path: Path, key: str, content_type: str, moved: OnBytes) -> ObjectStat:
            def count(size: int) -> None:
                moved(size)
                gate()

            gate()
            stat = super()._store(path, key, content_type, count)
            gate()
            return stat

        @override
        def _remove(self, key: str) -> None:
            gate()
            super()._remove(key)

        @override
        def _remove_parts(self, key: str) -> None:
            gate()
            super()._remove_parts(key)

        @override
        def _remove_unfinished(self, found: Unfinished) -> None:
            gate()
            super()._remove_unfinished(found)

    view = copy.copy(storage)
    view.__class__ = Gated
    return view


def gate_history(media: MediaJobs, gate: Gate) -> None:
    """Stop before and after each transaction."""
    database: Any = media.history._database  # the one place that every transaction goes through

    def gated(transaction: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def stopping(**options: Any) -> Generator[Any]:
            gate()
            with transaction(**options) as connection:
                yield connection
            gate()

        return stopping

    database.read, database.write = gated(database.read), gated(database.write)


@dataclass(frozen=True)
class Silent:
    """Knows which runs are over."""

    runs: set[str]

    def of_dispatch(self, dispatch_id: str) -> RunState:
        """Dispatches live: each is claimed at once."""
        return RunState.ALIVE

    def of_run(self, run_id: str) -> RunState:
        """The run of an attempt has the attempt's name."""
        return RunState.GONE if run_id in self.runs else RunState.ALIVE

    def is_over(self, dispatch_id: str) -> bool:
        """Dispatches live."""
        return False


@dataclass
class World:
    """One installation, and all that happens to one job in it."""

    media: MediaJobs
    job: Job
    chance: random.Random
    most_attempts: int = 4
    attempts: list[Actor] = field(default_factory=list)
    recoveries: list[Actor] = field(default_factory=list)
    outcomes: dict[str, AttemptEnded] = field(default_factory=dict)
    """By attempt id."""
    silent: set[str] = field(default_factory=set)
    cancelled: set[tuple[str, int]] = field(default_factory=set)
    """Job and number of the attempts that were under way when their job was cancelled."""
    trace: list[str] = field(default_factory=list)

    def play(self) -> None:
        """Let things happen, in the order that chance decides, then let everything settle."""
        for _ in range(150):
            alive = [each for each in (*self.attempts, *self.recoveries) if each.is_alive]
            if not alive and len(self.attempts) == self.most_attempts:
                break
            self._happen(alive)
            self.check_current()
        self._settle()

    def _happen(self, alive: list[Actor]) -> None:
        what = self.chance.random()
        under_way = [each for each in self.attempts if each.is_alive]
        if not alive or what < 0.08:
            self._start_attempt()
        elif what < 0.11 and under_way:
            victim = self.chance.choice(under_way)
            victim.is_killed = True
            self._declare_silent(victim)
        elif what < 0.22 and under_way:
            self._declare_silent(self.chance.choice(under_way))
        elif what < 0.26:
            self._cancel()
        elif what < 0.34:
            self._retry()
        else:
            chosen = self.chance.choice(alive)
            for _ in range(self.chance.choice((1, 1, 2, 3, 5, 100))):
                if chosen.is_over:
                    break
                chosen.step()
                self.check_current()
            self.trace.append(f"{chosen.name} goes on")

    def _start_attempt(self) -> None:
        if len(self.attempts) == self.most_attempts:
            return
        if self.history.jobs.get(self.job.id).status.is_final:
            self._retry()
        claim = self._claim()
        if claim is None:
            return
        self._begin(claim)

    def start_attempt(self) -> Actor:
        """Let a further attempt at the job begin; it stops before it does anything."""
        claim = self._claim()
        assert claim is not None
        return self._begin(claim)

    def _begin(self, claim: Claim) -> Actor:
        self.trace.append(f"{claim.attempt.run_id} begins")
        self.attempts.append(Actor(claim.attempt.run_id or "", lambda gate: self._attempt(claim, gate)))
        return self.attempts[-1]

    def _claim(self) -> Claim | None:
        leases, name = self.history.leases, f"attempt {len(self.attempts) + 1} at {self.job.id[-4:]}"
        dispatch = leases.assign(self.job.job_type, limit=1, lease_s=3600)
        return dispatch and leases.claim(dispatch.id, run_id=name, host=name, lease_s=3600)

    def _attempt(self, claim: Claim, gate: Gate) -> None:
        with self._process(gate) as media, media.worker() as worker:
            ended = make_attempt(claim, worker, Listeners(()), Cancellation())
            self.outcomes[claim.attempt.id] = ended

    def _declare_silent(self, actor: Actor) -> None:
        self.trace.append(f"{actor.name} {'is killed' if actor.is_killed else 'falls silent'}")
        self.silent.add(actor.name)
        if not any(each.is_alive for each in self.recoveries):
            self.recoveries.append(Actor("recovery", self._recover))

    def _recover(self, gate: Gate) -> None:
        with self._process(gate) as media:
            recovered = recover(media.history, media.settings, Silent(self.silent), media.registry, settling_s=0)
            withdraw(recovered.over, media.registry, media.history, lambda: media.storage)
            media.sweep_storage()

    def _cancel(self) -> None:
        job = self.history.jobs.get(self.job.id)
        with suppress(IllegalTransitionError):
            self.history.jobs.cancel(job.id)
            self.trace.append("cancelled")
            if job.status is JobStatus.PROCESSING:
                self.cancelled.add((job.id, job.attempts))

    def _retry(self) -> None:
        with suppress(IllegalTransitionError):
            self.history.jobs.retry(self.job.id, force=self.chance.random() < 0.7)
            self.trace.append("asked for again")

    @contextmanager
    def _process(self, gate: Gate) -> Generator[MediaJobs]:
        """Settings as before, connections of its own."""
        with MediaJobs(self.media.settings, self.media.registry) as media:
            storage = gated_storage(media.storage, gate)
            media._storage = Once(lambda: storage)  # there is no other way in
            gate_history(media, gate)
            yield media

    def _settle(self) -> None:
        """Whoever is frozen wakes up or was killed; recovery finds all that are dead."""
        while alive := [each for each in (*self.attempts, *self.recoveries) if each.is_alive]:
            chosen = self.chance.choice(alive)
            if chosen in self.attempts and self.chance.random() < 0.02:
                chosen.is_killed = True
                self.trace.append(f"{chosen.name} is killed")
            else:
                chosen.step()
            self.check_current()
        media, history = self.media, self.history
        gone = Silent({each.name for each in self.attempts})
        while recovered := recover(history, media.settings, gone, media.registry, settling_s=0).over:
            withdraw(recovered, media.registry, history, lambda: media.storage)
        while media.sweep_storage():
            pass

    def bury(self) -> None:
        """End the threads of those that were killed, and take the job out of the queue."""
        for each in (*self.attempts, *self.recoveries):
            if not each.is_over:
                each.bury()
        with suppress(IllegalTransitionError):
            self.history.jobs.cancel(self.job.id)

    # --- what must hold ----------------------------------------------------------------------------------------------

    @property
    def history(self) -> Any:
        """The history, without stops."""
        return self.media.history

    def check_current(self) -> None:
        """At every moment: what is pointed at is there, as it was recorded."""
        current = self.history.current.of(self.job.job_type, self.job.subject_id)
        for output in (current.result or {})["outputs"] if current else ():
            found = self.media.storage.find(output["key"])
            assert found, f"{output['key']} is gone"
            assert found.bytes == output["bytes"]

    def check_end(self) -> None:
        """When all has settled: one success counts, its objects are there, and nothing else is."""
        for actor in (*self.attempts, *self.recoveries):
            assert actor.error is None, repr(actor.error)
        rows = self.history.attempts.of_job(self.job.id)
        assert all(row.status.is_final for row in rows)
        for row in rows:
            is_good = row.status in (AttemptStatus.SUCCESS, AttemptStatus.SKIPPED)
            if ended := self.outcomes.get(row.id):
                assert ended.succeeded == is_good
                assert ended.is_stale <= (not is_good)
            assert not is_good or (row.job_id, row.attempt) not in self.cancelled
        current = self.history.current.of(self.job.job_type, self.job.subject_id)
        successes = [row for row in rows if row.status is AttemptStatus.SUCCESS]
        assert (current and current.id) == (successes[-1].id if successes else None)
        there, pointed_at = set(self._objects()), set(keys_of(current) if current else ())
        assert there == pointed_at, f"{sorted(there ^ pointed_at)} of {[(row.id, row.status) for row in rows]}"
        self._check_uploads(keys_of(current) if current else [])

    def _objects(self) -> Iterable[str]:
        """Everything but sources."""
        return [found.key for found in self.media.storage.walk() if not found.key.startswith("uploads/")]

    def _check_uploads(self, keys: list[str]) -> None:
        origins = [result_origin(self.job.id, key.rpartition("/")[2]) for key in keys]
        for upload in self.history.uploads.known(origins).values():
            assert upload.storage_key in keys
            assert self.media.storage.stat(upload.storage_key).etag == upload.etag
