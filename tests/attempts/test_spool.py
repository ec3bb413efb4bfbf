"""Ends of attempts that the database could not take are not lost."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from mediajobs_dagster.attempts import outcome
from mediajobs_dagster.attempts.spool import End, Spool
from mediajobs_dagster.attempts.withdrawal import deliver
from mediajobs_dagster.errors import Blame, DiskFullError
from mediajobs_dagster.history import Claim, Finished, History, JobFilter
from mediajobs_dagster.history.series import Tally
from mediajobs_dagster.models import AttemptStatus, JobStatus, utc_now
from tests.clips import Clips
from tests.history.factories import a_new_job, an_upload, claimed, ended
from tests.platform import Platform


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    """An empty one."""
    with History.open(f"sqlite:///{tmp_path / 'history.db'}", timeout_s=10) as opened:
        yield opened


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """An empty one."""
    return Spool(tmp_path / "home" / "unrecorded")  # neither folder is there yet


def an_end(claim: Claim) -> End:
    """A success with everything that goes with one, too large for what is free in a database."""
    manifest = {"schemaVersion": 2, "text": os.urandom(50_000).hex()}
    done = ended(claim, result={"outputs": [{"key": "a", "bytes": 5}]}, manifest=manifest)
    child = a_new_job(job_type="child", parent_job_id=claim.job.id)
    return End(attempt=done, job_status=JobStatus.COMPLETED, children=(child,), uploads=(an_upload(),))


def until(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def nothing(_: Claim) -> None:
    """Withdraw nothing."""


def assert_recorded(history: History, end: End) -> None:
    """The attempt, its job, its child and its upload are as the worker meant them."""
    assert end.attempt.job_id is not None
    assert history.attempts.get(end.attempt.id) == end.attempt
    assert history.jobs.get(end.attempt.job_id).status is JobStatus.COMPLETED
    assert len(history.jobs.list(JobFilter(parent_job_id=end.attempt.job_id))) == 1
    assert history.uploads.get(end.uploads[0].id) == end.uploads[0]


def test_a_worker_waits_for_a_database_whose_disk_is_full(platform: Platform) -> None:
    """It keeps the end in a file meanwhile, and records it as soon as there is room again."""
    history, is_full = platform.history, threading.Event()

    def limit(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {1 if is_full.is_set() else 2**30}")

    end = an_end(claimed(history))
    kept = platform.settings.unrecorded / f"{end.attempt.id}.json"
    event.listen(history._database.engine, "begin", limit)
    is_full.set()
    with pytest.raises(DiskFullError):
        end.record(history)
    answers: list[object] = []
    with platform.media.worker() as worker:
        thread = threading.Thread(target=lambda: answers.append(outcome._record(worker, end)))
        thread.start()
        until(kept.exists)
        assert Spool(platform.settings.unrecorded).deliver(history, nothing) == 0  # its worker lives
        is_full.clear()
        thread.join(60)
    assert answers == [Finished(replaced=None)]
    assert not kept.exists()
    assert_recorded(history, end)
    counted = {each.name: each.number for each in history.series.all()}
    assert counted["events.persist_failures_total"] == 1


def test_what_a_dead_worker_kept_is_recorded_before_anything_is_taken_for_lost(platform: Platform) -> None:
    """Its lease has long run out: the attempt is a success all the same, with its children."""
    history = platform.history
    end = an_end(claimed(history))
    spool = Spool(platform.settings.unrecorded)
    deliver_all = partial(deliver, spool, platform.registry, history, lambda: platform.storage)
    with spool.kept(end):
        assert deliver_all() == 0
    assert deliver_all() == 1
    assert_recorded(history, end)
    assert deliver_all() == 0
    assert list(spool.folder.glob("*.json")) == []


def test_the_next_run_on_the_machine_records_what_was_kept(platform: Platform, clips: Clips) -> None:
    """A worker of a cluster has no daemon beside it that would do so."""
    end = an_end(claimed(platform.history))
    spool = Spool(platform.settings.unrecorded)
    with spool.kept(end):
        pass
    platform.add(clips.landscape(), "upload_thumb_v1")
    platform.work()
    assert_recorded(platform.history, end)
    assert list(spool.folder.glob("*.json")) == []


def test_what_came_too_late_is_withdrawn(history: History, spool: Spool) -> None:
    """The job was given to another worker meanwhile."""
    claim = claimed(history)
    with spool.kept(an_end(claim)):
        pass
    history.leases.finish(ended(claim, AttemptStatus.LOST), job_status=JobStatus.FAILED)
    withdrawn: list[str] = []
    assert spool.deliver(history, lambda found: withdrawn.append(found.attempt.id)) == 1
    assert withdrawn == [claim.attempt.id]
    assert history.attempts.get(claim.attempt.id).status is AttemptStatus.LOST


def test_what_came_after_a_cancellation_is_cancelled(history: History, spool: Spool) -> None:
    """Nobody is to blame for that, and the breaker does not count it. What was measured counts once."""
    claim = claimed(history)
    tally = Tally()
    tally.time("worker.stage_latency_ms", 120, stage="fetch")
    end = an_end(claim).model_copy(update={"measures": tally.measures})
    manifest = end.attempt.manifest or {}
    with spool.kept(end):
        pass
    history.jobs.cancel(claim.job.id)
    assert spool.deliver(history, nothing) == 1
    assert [each for each in history.series.all() if each.name == "worker.stage_latency_ms"] == list(tally.measures)
    row = history.attempts.get(claim.attempt.id)
    assert (row.status, row.error_code, row.blame) == (AttemptStatus.CANCELLED, "CANCELLED", Blame.CANCELLED)
    assert row.error == "The job was cancelled before this end was recorded."
    assert row.result is None
    assert row.manifest == {**manifest, "status": "cancelled", "outputs": []}


@pytest.mark.parametrize("status", [AttemptStatus.SUCCESS, AttemptStatus.FAILURE])
def test_an_end_without_a_manifest_may_come_too_late(history: History, spool: Spool, status: AttemptStatus) -> None:
    """A success does not count; any other end stays what it was."""
    claim = claimed(history)
    attempt = ended(claim, status, manifest=None)
    with spool.kept(End(attempt=attempt, job_status=JobStatus.FAILED)):
        pass
    history.jobs.cancel(claim.job.id)
    assert spool.deliver(history, nothing) == 1
    row = history.attempts.get(claim.attempt.id)
    assert row.status is (AttemptStatus.CANCELLED if status is AttemptStatus.SUCCESS else status)
    assert row.manifest is None


def test_what_came_in_time_is_recorded_whole_and_not_withdrawn(history: History, spool: Spool) -> None:
    """With its measures, and the pause before the next attempt."""
    claim, tally = claimed(history), Tally()
    tally.time("worker.stage_latency_ms", 120, stage="fetch")
    attempt = ended(claim, AttemptStatus.FAILURE)
    with spool.kept(End(attempt=attempt, job_status=JobStatus.FAILED, pause_s=3600, measures=tally.measures)):
        pass
    withdrawn: list[Claim] = []
    assert spool.deliver(history, withdrawn.append) == 1
    assert withdrawn == []
    assert history.jobs.get(claim.job.id).not_before > utc_now() + timedelta(seconds=3000)
    assert [each for each in history.series.all() if each.name == "worker.stage_latency_ms"] == list(tally.measures)


def test_what_cannot_be_read_holds_up_nothing(history: History, spool: Spool) -> None:
    """A file that a crash of the machine cut off, and one whose job was deleted."""
    end = an_end(claimed(history))
    gone = end.model_copy(update={"attempt": end.attempt.model_copy(update={"job_id": "gone", "id": "0"})})
    for each in (gone, end):
        with spool.kept(each):
            pass
    (spool.folder / "00.json").write_text('{"attempt": {"id"')
    assert spool.deliver(history, nothing) == 3
    assert_recorded(history, end)
    assert list(spool.folder.glob("*.json")) == []


def test_room_is_made_in_a_home_that_is_not_there_yet(tmp_path: Path) -> None:
    """As on a machine that works for the first time."""
    spool = Spool(tmp_path / "home" / "spool")
    spool.make_room()
    assert (spool.folder / ".room").stat().st_size == 1024 * 1024


def test_there_is_room_for_an_end_on_a_full_disk(
    history: History, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of the disk was occupied for that before it was full."""
    spool.make_room()
    room = spool.folder / ".room"
    assert room.stat().st_blocks * 512 >= 1024 * 1024
    write = os.write

    def refuse(descriptor: int, content: bytes) -> int:
        if room.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", refuse)
    end = an_end(claimed(history))
    with spool.kept(end) as kept:
        assert kept.path is not None
    monkeypatch.undo()
    assert spool.deliver(history, nothing) == 1
    assert_recorded(history, end)
    spool.make_room()
    assert room.exists()


def fail_to_write(monkeypatch: pytest.MonkeyPatch, code: int, times: int) -> None:
    """The next writes fail."""
    write, left = os.write, [times]

    def refuse(descriptor: int, content: bytes) -> int:
        if left[0]:
            left[0] -= 1
            raise OSError(code, "refused")
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", refuse)


def test_a_disk_that_cannot_be_written_to_loses_an_end_and_no_more(
    history: History, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a file is not left, nothing stays open, and room is given up only for lack of room."""
    spool.make_room()
    end, before = an_end(claimed(history)), psutil.Process().num_fds()
    fail_to_write(monkeypatch, errno.EIO, 1)
    with spool.kept(end) as kept:
        assert kept.path is None
        kept.forget()
    assert [path.name for path in spool.folder.iterdir()] == [".room"]
    assert psutil.Process().num_fds() == before


def test_a_disk_that_was_full_for_a_moment_keeps_an_end(
    history: History, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no room was made: it is tried once more."""
    fail_to_write(monkeypatch, errno.ENOSPC, 1)
    with spool.kept(an_end(claimed(history))) as kept:
        assert kept.path is not None
        assert kept.path.exists()


def test_half_a_room_is_not_left(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run tries again; no run fails of that."""
    before = psutil.Process().num_fds()
    fail_to_write(monkeypatch, errno.ENOSPC, 1)
    spool.make_room()
    assert list(spool.folder.iterdir()) == []
    spool.make_room()
    assert psutil.Process().num_fds() == before
    assert (spool.folder / ".room").stat().st_size == 1024 * 1024


def test_what_is_kept_is_for_this_user_alone(history: History, spool: Spool) -> None:
    """It tells what somebody works on."""
    spool.make_room()
    with spool.kept(an_end(claimed(history))):
        assert [path.stat().st_mode & 0o777 for path in spool.folder.iterdir()] == [0o600] * 2


def test_a_file_that_somebody_else_removed_is_no_fault(history: History, spool: Spool) -> None:
    """Neither for the worker nor for who delivers."""
    claim = claimed(history)
    with spool.kept(an_end(claim)) as kept:
        assert kept.path is not None
        kept.path.unlink()
        kept.forget()
    with spool.kept(an_end(claim)) as kept:
        pass
    history.jobs.cancel(claim.job.id)
    assert spool.deliver(history, lambda _: kept.forget()) == 1
