"""The storage map: that ours is sound, and what is refused in one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.storage import upload_source_key
from mediajobs_dagster.storage.storage_map import StorageMap, load_storage_map

OURS = Path(__file__).parents[2].resolve() / "storage_map.json"


def entry(**changes: Any) -> dict[str, Any]:
    """One sound entry, as JSON."""
    sound = {
        "prefix": "renders/",
        "purpose": "Renders.",
        "jobType": "render_v1",
        "patterns": ["renders/{yyyy-mm}/{dd}/{uuid}/video.mp4"],
        "examples": ["renders/2026-02/28/019a4c2e-7b1d-7c3a-9f52-3d1e8a6b4c01/video.mp4"],
        "retentionDays": 30,
        "retention": "Removed.",
    }
    return sound | changes


def load(folder: Path, *entries: dict[str, Any], version: int = 1) -> StorageMap:
    """Write a map of these entries and load it."""
    path = folder / "map.json"
    path.write_text(json.dumps({"version": version, "entries": entries}))
    return load_storage_map(path)


def test_our_own_map_knows_the_keys_that_are_made() -> None:
    ours = load_storage_map(OURS)
    source = ours.entry_for(upload_source_key("0199"))
    assert source is not None
    assert source.job_type is None
    assert ours.matches(source, upload_source_key("0199"))
    assert {entry.job_type for entry in ours.entries} - {None} == {
        "upload_thumb_v1",
        "upload_edit_proxy_v1",
        "upload_audio_envelope_v1",
        "create_video_export_v1",
        "ingest_video_v1",
        "transcript_v1",
        "study_guide_v1",
    }


@pytest.mark.parametrize(
    ("key", "fits"),
    [
        ("renders/2026-02/28/019a4c2e-7b1d-7c3a-9f52-3d1e8a6b4c01/video.mp4", True),
        ("renders/2026-13/28/019a4c2e-7b1d-7c3a-9f52-3d1e8a6b4c01/video.mp4", False),
        ("renders/2026-02/28/019a4c2e-7b1d-7c3a-9f52-3d1e8a6b4c01/videoxmp4", False),
        ("renders/2026-02/28/not-a-uuid/video.mp4", False),
        ("renders/2026-02/28/019a4c2e-7b1d-7c3a-9f52-3d1e8a6b4c01/video.mp4/more", False),
        ("others/2026-02/28/019a4c2e-7b1d-7c3a-9f52-3d1e8a6b4c01/video.mp4", False),
    ],
)
def test_a_key_fits_a_pattern_as_a_whole(tmp_path: Path, key: str, fits: bool) -> None:
    storage_map = load(tmp_path, entry())
    assert storage_map.matches(storage_map.entries[0], key) is fits


def test_a_key_belongs_to_the_entry_of_its_prefix(tmp_path: Path) -> None:
    storage_map = load(tmp_path, entry())
    assert storage_map.entry_for("renders/whatever") == storage_map.entries[0]
    assert storage_map.entry_for("elsewhere/renders/x") is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prefix": "renders"}, r"\$\.entries\[0\].*renders does not end with a slash"),
        ({"patterns": ["thumbs/{id}"]}, r"\$\.entries\[0\].*thumbs/\{id\} does not lie below renders/"),
        ({"patterns": ["renders/{name}"]}, r"unknown placeholder \{name\}"),
        ({"patterns": []}, r"\$\.entries\[0\]\.patterns"),
        ({"examples": ["renders/x"]}, r"\$\.entries\[0\].*renders/x fits none"),
        ({"examples": ["renders/../x"]}, r"\$\.entries\[0\].*refused"),
        ({"retentionDays": -1}, r"\$\.entries\[0\]\.retentionDays"),
        ({"colour": "red"}, r"\$\.entries\[0\]\.colour"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load(tmp_path, entry(**changes))


def test_no_prefix_lies_inside_another(tmp_path: Path) -> None:
    """Whatever stands between them; the same prefix twice is refused too."""
    outer = entry(prefix="a/", patterns=["a/{id}"], examples=["a/1"])
    between = entry(prefix="a/b/", patterns=["a/b/{id}"], examples=["a/b/1"])
    with pytest.raises(SettingsError, match=r"the prefix a/b/ lies inside a/"):
        load(tmp_path, between, entry(), outer)
    with pytest.raises(SettingsError, match=r"the prefix a/ lies inside a/"):
        load(tmp_path, outer, outer)


def test_another_version_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\$\.version"):
        load(tmp_path, entry(), version=2)
    with pytest.raises(SettingsError, match="cannot be read"):
        load_storage_map(tmp_path / "none.json")
