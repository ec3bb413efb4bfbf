"""Leases are kept while a run works, and a job that is cancelled or taken away ends its attempt."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.attempts.heartbeat import Heartbeat
from mediajobs_dagster.attempts.recovery import recover
from mediajobs_dagster.errors import CancelledError, WorkerLostError
from mediajobs_dagster.history import Claim, History
from mediajobs_dagster.models import FfmpegCommand, Job, JobProgress, Progress, utc_now
from mediajobs_dagster.records import AttemptKey, AttemptProgressed, CommandEnded, CommandStarted, Record, StageStarted
from mediajobs_dagster.settings import Settings
from tests.history.factories import claimed
from tests.platform import AllGone


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """An empty one."""
    with History.open(f"sqlite:///{tmp_path / 'history.db'}", timeout_s=60) as opened:
        yield opened


def beating(history: History, claim: Claim, *, lease_s: float) -> Heartbeat:
    """The heartbeat of the run that holds the claim."""
    assert claim.job.dispatch_id
    return Heartbeat(history, claim.job.dispatch_id, lease_s=lease_s)


def until(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_lease_does_not_run_out_while_the_run_works(history: History) -> None:
    """It is renewed well before, again and again; the thread that does so ends with the run."""
    claim = claimed(history)
    seen: set[object] = set()

    def look() -> bool:
        now, expires = utc_now(), history.jobs.get(claim.job.id).lease_expires_at
        assert expires
        assert expires > now
        seen.add(expires)
        return len(seen) == 3

    with beating(history, claim, lease_s=6):
        (thread,) = (thread for thread in threading.enumerate() if thread.name == "mediajobs-heartbeat")
        assert thread.daemon  # a run that hangs must not hang the more for it
        until(look)
    assert not thread.is_alive()


def test_a_job_that_is_cancelled_ends_its_attempt_and_no_other(history: History) -> None:
    """Each attempt has a token of its own, and one that is over is told nothing more."""
    claim, other = claimed(history), claimed(history)
    with (
        beating(history, claim, lease_s=1.5) as heartbeat,
        beating(history, other, lease_s=30) as others,
        heartbeat.watching(claim.job.id) as token,
        others.watching(other.job.id) as other_token,
    ):
        history.jobs.cancel(claim.job.id)
        until(lambda: token.error)
        assert isinstance(token.error, CancelledError)
        assert other_token.error is None


def test_a_job_that_was_taken_away_ends_its_attempt(history: History, tmp_path: Path) -> None:
    """Recovery took its worker for dead: somebody else works on it by now."""
    claim = claimed(history)
    with beating(history, claim, lease_s=1.5) as heartbeat, heartbeat.watching(claim.job.id) as token:
        assert len(recover(history, Settings.load(_env_file=None, home=tmp_path), AllGone(), settling_s=0).lost) == 1
        until(lambda: token.error)
        assert isinstance(token.error, WorkerLostError)
        assert "taken away" in token.error.message


def test_all_are_ended_at_once(history: History) -> None:
    """Those that are under way and those that begin later; not those that are over, and the lease is kept."""
    claim = claimed(history)
    end = CancelledError("The run was interrupted.")
    with beating(history, claim, lease_s=1.5) as heartbeat:
        with heartbeat.watching("over") as over:
            pass
        with heartbeat.watching(claim.job.id) as token:
            assert token.error is None
            heartbeat.end_all(end)
            assert token.error is end
        with heartbeat.watching("late") as late:
            assert late.error is end
        assert over.error is None
        before = lease(history, claim.job)
        until(lambda: lease(history, claim.job) != before)


def lease(history: History, job: Job) -> float:
    """When it runs out."""
    expires = history.jobs.get(job.id).lease_expires_at
    assert expires
    return expires.timestamp()


def test_a_database_out_of_reach_ends_attempts_once_the_lease_is_over(history: History, tmp_path: Path) -> None:
    """Not before: until then nobody else may have the jobs. And it is asked on and on, for it may come back."""
    claim = claimed(history)
    with (
        History.open(f"sqlite:///{tmp_path / 'history.db'}", timeout_s=0.05) as impatient,
        beating(impatient, claim, lease_s=1) as heartbeat,
        heartbeat.watching(claim.job.id) as token,
    ):
        first = lease(history, claim.job)
        until(lambda: lease(history, claim.job) != first)
        blocker = sqlite3.connect(tmp_path / "history.db", isolation_level=None, timeout=60)
        blocker.execute("BEGIN IMMEDIATE")
        last = lease(history, claim.job)
        until(lambda: token.error)
        assert time.time() >= last
        assert isinstance(token.error, WorkerLostError)
        assert "out of reach" in token.error.message
        blocker.execute("ROLLBACK")
        blocker.close()
        until(lambda: lease(history, claim.job) > last)


def test_a_beat_stores_how_far_the_attempt_is(history: History) -> None:
    """Stage, command without guards, percent, speed and time left, as the records of the attempt told them."""
    claim = claimed(history)
    key = key_of(claim)
    argv = ("ffmpeg", "-hide_banner", "-loglevel", "level+verbose", "-i", "file:source", "x" * 9_000, "out.mp4")
    with beating(history, claim, lease_s=0.3) as heartbeat, heartbeat.watching(claim.job.id):
        heartbeat.take(StageStarted(key=key, stage="ffmpeg"))
        heartbeat.take(CommandStarted(key=key, argv=argv))
        heartbeat.take(AttemptProgressed(key=key, progress=Progress(fraction=0.4, speed=3.0, eta_s=9.0)))
        heartbeat.take(StageStarted(key=replace(key, job_id="another"), stage="fetch"))
        until(lambda: (found := history.jobs.get(claim.job.id).progress) and found.fraction)
    progress = history.jobs.get(claim.job.id).progress
    assert progress
    assert (progress.stage, progress.fraction, progress.speed, progress.eta_s) == ("ffmpeg", 0.4, 3.0, 9.0)
    assert progress.command[:3] == ("ffmpeg", "-i", "file:source")
    assert progress.command[3].endswith("x…")
    assert sum(map(len, progress.command)) < 4_100


def key_of(claim: Claim) -> AttemptKey:
    """The key of the records of an attempt."""
    return AttemptKey(claim.attempt.id, claim.job.job_type, claim.job.subject_id, claim.job.id)


def test_each_record_moves_the_attempt_on(history: History) -> None:
    """A new stage has no command yet, and one that has ended is not shown any longer; what else is known stays."""
    claim = claimed(history)
    key = key_of(claim)
    first, second, third, fourth, fifth = (utc_now() + timedelta(seconds=number) for number in range(5))
    ran = FfmpegCommand(argv=("ffmpeg",), started_at=first, duration_ms=1, exit_code=0, status="ok")
    known: dict[str, Any] = {"fraction": 0.4, "speed": 3.0, "eta_s": 9.0, "out_seconds": 2.0}
    steps: list[tuple[Record, JobProgress]] = [
        (StageStarted(key=key, stage="probe", at=first), JobProgress(stage="probe", at=first)),
        (
            CommandStarted(key=key, argv=("ffprobe", "source"), at=second),
            JobProgress(stage="probe", command=("ffprobe", "source"), at=second),
        ),
        (
            AttemptProgressed(key=key, progress=Progress(**known), at=third),
            JobProgress(stage="probe", command=("ffprobe", "source"), at=third, **known),
        ),
        (StageStarted(key=key, stage="plan", at=fourth), JobProgress(stage="plan", at=fourth, **known)),
        (
            CommandStarted(key=key, argv=("ffmpeg",), at=first),
            JobProgress(stage="plan", command=("ffmpeg",), at=first, **known),
        ),
        (
            CommandEnded(key=key, stage="plan", command=ran, at=fifth),
            JobProgress(stage="plan", at=fifth, **known),
        ),
    ]
    with beating(history, claim, lease_s=0.3) as heartbeat, heartbeat.watching(claim.job.id):
        for record, progress in steps:
            heartbeat.take(record)
            until(lambda progress=progress: history.jobs.get(claim.job.id).progress == progress)


def test_another_attempt_begins_anew(history: History) -> None:
    """What the one before it had reported is not its own; nor is what is told of a job that is not watched."""
    claim = claimed(history)
    key = key_of(claim)
    at = utc_now()
    with beating(history, claim, lease_s=0.3) as heartbeat:
        with heartbeat.watching(claim.job.id):
            heartbeat.take(StageStarted(key=key, stage="publish", at=at))
        heartbeat.take(StageStarted(key=key, stage="late", at=at))
        with heartbeat.watching(claim.job.id):
            heartbeat.take(CommandStarted(key=key, argv=("ffmpeg",), at=at))
            until(lambda: history.jobs.get(claim.job.id).progress == JobProgress(command=("ffmpeg",), at=at))


@pytest.mark.parametrize(
    ("argv", "kept"),
    [
        (("ffmpeg", "x" * 3_994), ("ffmpeg", "x" * 3_994)),
        (("ffmpeg", "x" * 3_995), ("ffmpeg", "x" * 3_994 + "…")),
        (("ffmpeg", "x" * 3_994, "out.mp4"), ("ffmpeg", "x" * 3_994, "…")),
        (("ffmpeg", "x" * 9_000, "y" * 9_000), ("ffmpeg", "x" * 3_994 + "…")),
    ],
)
def test_of_a_long_command_the_beginning_is_stored(
    history: History, argv: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    """Four thousand characters."""
    claim = claimed(history)
    key = key_of(claim)
    with beating(history, claim, lease_s=0.3) as heartbeat, heartbeat.watching(claim.job.id):
        heartbeat.take(CommandStarted(key=key, argv=argv))
        until(lambda: (found := history.jobs.get(claim.job.id).progress) and found.command == kept)


def test_beats_that_failed_are_counted(history: History, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each of them once, when the database is back: that is where they are counted."""
    claim = claimed(history)

    def failures() -> int:
        return sum("could not be renewed" in record.message for record in caplog.records)

    def until_renewed(times: int) -> None:
        for _ in range(times):
            last = lease(history, claim.job)
            until(lambda last=last: lease(history, claim.job) != last)

    with (
        History.open(f"sqlite:///{tmp_path / 'history.db'}", timeout_s=0.05) as impatient,
        beating(impatient, claim, lease_s=0.3),
    ):
        until_renewed(2)
        blocker = sqlite3.connect(tmp_path / "history.db", isolation_level=None, timeout=60)
        blocker.execute("BEGIN IMMEDIATE")
        until(lambda: failures() >= 2)
        blocker.execute("ROLLBACK")
        blocker.close()
        until_renewed(3)
    (found,) = (each for each in history.series.all() if each.name == "events.persist_failures_total")
    assert found.number == failures()
