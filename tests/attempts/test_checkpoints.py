"""What further attempts at a job go on from, and which of it has been used up."""

from __future__ import annotations

from pathlib import Path

from mediajobs_dagster.attempts.checkpoints import StoredCheckpoints
from mediajobs_dagster.attempts.recorder import Recorder
from mediajobs_dagster.models import HostFacts
from mediajobs_dagster.records import AttemptKey
from mediajobs_dagster.storage.local import LocalStorage


def attempt(folder: Path) -> StoredCheckpoints:
    """The checkpoints of a fresh attempt at the same job."""
    recorder = Recorder(AttemptKey(attempt_id="a", job_type="test", subject_id="s"), HostFacts(hostname="here"))
    return StoredCheckpoints(folder, recorder, lambda: LocalStorage(folder / "storage"))


def test_who_goes_on_from_a_result_has_used_up_what_it_was_made_with(tmp_path: Path) -> None:
    """So that the end of the job removes all of them."""
    first = attempt(tmp_path)
    assert first.load("part") is None
    first.save("part", {"n": 1})
    first.save("whole", {"n": 2})
    part, whole = first.recorder.checkpoints
    again = attempt(tmp_path)
    assert again.load("whole") == {"n": 2}
    assert again.recorder.checkpoints == [whole, part]


def test_what_cannot_be_read_was_not_kept(tmp_path: Path) -> None:
    """The step does its work again."""
    first = attempt(tmp_path)
    first.save("part", {"n": 1})
    (key,) = first.recorder.checkpoints
    (tmp_path / "storage" / key).write_text("{")
    assert attempt(tmp_path).load("part") is None


def test_a_storage_that_takes_nothing_costs_a_note(tmp_path: Path) -> None:
    """And nothing is left in the scratch folder."""
    (tmp_path / "storage").write_text("no folder")
    first = attempt(tmp_path)
    first.save("part", {"n": 1})
    (note,) = first.recorder.notes
    assert note.startswith("A result was not kept for further attempts: STORAGE_")
    assert first.recorder.checkpoints == []
    assert list(tmp_path.glob("checkpoint-*")) == []
