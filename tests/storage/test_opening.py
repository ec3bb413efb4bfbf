"""From the settings to the storage they name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import open_storage


@pytest.mark.parametrize("name", ["objects", "with space", "pér%cent"])
def test_a_file_address_opens_that_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "b").write_bytes(b"12")
    storage = open_storage(Settings.load(_env_file=None, storage_url=folder.as_uri()))
    assert (storage.bucket, storage.read("a/b")) == ("local", b"12")


def test_opening_asks_nothing_of_the_storage(tmp_path: Path) -> None:
    """A folder that is not there yet is empty; it is made with the first object."""
    storage = open_storage(Settings.load(_env_file=None, home=tmp_path / "home"))
    assert list(storage.list("")) == []
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "url", ["objects", "/objects", "file:///", "file://host/x", "gs://bucket", "s3://", "s3://b/../x", "s3://b/x?y"]
)
def test_any_other_address_is_refused_with_what_to_do(url: str) -> None:
    with pytest.raises(SettingsError, match="MEDIAJOBS_STORAGE_URL"):
        open_storage(Settings.load(_env_file=None, storage_url=url))


@pytest.mark.parametrize(
    ("changes", "variable"),
    [
        ({"s3_secret_access_key": None}, "MEDIAJOBS_S3_SECRET_ACCESS_KEY"),
        ({"s3_endpoint_url": "not an address"}, "MEDIAJOBS_S3_ENDPOINT_URL"),
    ],
)
def test_settings_that_make_no_client_are_named(s3_settings: Settings, changes: dict, variable: str) -> None:
    storage = open_storage(s3_settings.model_copy(update=changes))
    with pytest.raises(SettingsError, match=variable):
        storage.stat("a")


def test_a_local_folder_does_not_pay_for_the_sdk(tmp_path: Path) -> None:
    program = (
        "import sys; from mediajobs_dagster.settings import Settings;"
        "from mediajobs_dagster.storage import open_storage;"
        "list(open_storage(Settings.load(_env_file=None)).list(''));"
        "sys.exit(any(name.startswith(('boto', 's3transfer')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=tmp_path, timeout=60, check=False).returncode == 0
