"""Hostile files cost their own jobs, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mediajobs_dagster.media.tools import Tools
from tests.clips import Clips
from tests.hostile.clips import real_clips
from tests.hostile.fuzzed import fuzzed_files
from tests.hostile.made import made_files
from tests.hostile.trial import LIMITS, Trial
from tests.platform import Platform

FUZZED, SEED = 60, 1
TRIED = 30
"""Every so many files goes through all job types; the whole set is for `make test-hostile`."""


@pytest.fixture(scope="module")
def files(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Those made by hand, and some fuzzed ones."""
    real = real_clips(tools, tmp_path_factory.mktemp("real"))
    return made_files(real) | dict(fuzzed_files(real, FUZZED, SEED))


@pytest.fixture
def trial(open_platform: Callable[..., Platform], clips: Clips) -> Trial:
    """A trial on a platform with the limits of the whole set."""
    return Trial(open_platform(**LIMITS), clips.short())


def test_the_set_is_large_and_always_the_same(files: dict[str, bytes], tools: Tools, tmp_path: Path) -> None:
    """A name means the same bytes each time, so a failure can be looked at again."""
    made = [name for name in files if not name.startswith("fuzzed")]
    assert len(made) >= 91
    real = real_clips(tools, tmp_path)
    assert dict(fuzzed_files(real, FUZZED, SEED)).items() <= files.items()
    assert dict(fuzzed_files(real, 10, SEED + 1)).keys().isdisjoint(files)
    assert all(len(content) < 1 << 22 for content in files.values())


def test_no_hostile_file_is_blamed_on_the_system(files: dict[str, bytes], trial: Trial, tmp_path: Path) -> None:
    """In every job type on uploads, in an export that uses it, and through `add`; a good job behind each runs."""
    for name, content in list(files.items())[5::TRIED]:
        path = tmp_path / name
        path.write_bytes(content)
        trial.take(path)
    assert (trial.tally.system_blamed, trial.tally.unfinished) == ([], [])
    assert trial.tally.good_jobs == trial.tally.files >= len(files) // TRIED
    assert trial.platform.leftovers() == []


def test_music_of_which_nothing_can_be_read_is_not_repeated_for_ever(
    files: dict[str, bytes], trial: Trial, tmp_path: Path
) -> None:
    """An export whose music is shorter than it plays it again; here there is nothing to play."""
    path = tmp_path / "rate_largest.flac"
    path.write_bytes(files[path.name])
    trial.take(path)
    assert trial.tally.codes["INPUT_CORRUPT"]
    assert (trial.tally.system_blamed, trial.tally.unfinished) == ([], [])


def test_a_folder_of_hostile_files_is_added_as_far_as_it_goes(
    files: dict[str, bytes], trial: Trial, tmp_path: Path, clips: Clips
) -> None:
    """The good files among them are uploads; each of the others is one too, or is named with the reason."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    good = [shutil.copy(clips.landscape(), folder / f"good_{letter}.mp4") for letter in "agmtz"]
    trial.take_folder(folder, good)
    assert trial.tally.system_blamed == []
    assert trial.tally.added.total() == len(files) + len(good)
