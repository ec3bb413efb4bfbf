"""The one list of job types."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mediajobs_dagster import job_types
from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.job_types.base import JobType, UploadJobType
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.job_types.thumbnail import Thumbnail
from mediajobs_dagster.models import SubjectKind

FOLDER = Path(job_types.__path__[0])


def test_every_module_with_a_job_type_is_found() -> None:
    """As many as there are modules that define one, in alphabetical order."""
    defining = [path for path in _modules() if "\nJOB_TYPE = " in path.read_text()]
    names = [job_type.name for job_type in Registry.standard()]
    assert len(names) == len(defining) == len(Registry.standard()) >= 3
    assert names == sorted(names)
    assert {"upload_thumb_v1", "upload_edit_proxy_v1", "upload_audio_envelope_v1"} <= set(names)


def test_a_new_module_is_all_it_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that defines JOB_TYPE is known from then on; one that does not is passed over."""
    (tmp_path / "poster_for_test.py").write_text(
        "from mediajobs_dagster.job_types.thumbnail import Thumbnail\n\n\n"
        "class Poster(Thumbnail):\n    name = 'poster_v1'\n\n\n"
        "JOB_TYPE = Poster()\n"
    )
    (tmp_path / "shapes_for_test.py").write_text("SIDES = 4\n")
    monkeypatch.setattr(job_types, "__path__", [*job_types.__path__, str(tmp_path)])
    try:
        assert Registry.standard()["poster_v1"].asset == "thumbnail"
        assert len(Registry.standard()) == len(_modules()) - len(_without_job_type()) + 1
    finally:
        for name in ("poster_for_test", "shapes_for_test"):
            sys.modules.pop(f"{job_types.__name__}.{name}", None)
            vars(job_types).pop(name, None)


def _modules() -> list[Path]:
    return [*FOLDER.glob("*.py"), *FOLDER.glob("*/__init__.py")]


def _without_job_type() -> list[Path]:
    return [path for path in _modules() if "\nJOB_TYPE = " not in path.read_text()]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    """A person who mistyped sees what to type."""
    with pytest.raises(RequestError, match="no job type 'upload_thumbs'") as caught:
        Registry.standard()["upload_thumbs"]
    for job_type in Registry.standard():
        assert job_type.name in caught.value.message


def test_a_registry_can_be_given_more() -> None:
    """The given one stays as it is."""

    class Poster(Thumbnail):
        name = "poster_v1"

    few = Registry([Thumbnail()])
    more = few.with_types(Poster())
    assert [job_type.name for job_type in more] == ["poster_v1", "upload_thumb_v1"]
    assert len(few) == 1


@pytest.mark.parametrize("job_type", list(Registry.standard()), ids=lambda each: each.name)
def test_every_job_type_tells_about_itself(job_type: JobType) -> None:
    """A name with its version, an asset, a sentence on what it makes, and keys that hold the subject's id."""
    assert job_type.subject is SubjectKind.TICK or job_type.name.rpartition("_v")[2].isdigit()
    assert job_type.asset.isidentifier()
    assert job_type.summary.endswith(".")
    if isinstance(job_type, UploadJobType):
        assert all("/some-id/" in key for key in job_type.output_keys("some-id"))
