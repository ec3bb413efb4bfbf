"""One storage, of each kind: what holds for both is shown on both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import Storage, open_storage


@pytest.fixture
def local_settings(tmp_path: Path) -> Settings:
    """Settings that keep objects in a local folder."""
    return Settings.load(_env_file=None, home=tmp_path / "home", storage_url=(tmp_path / "objects").as_uri())


@pytest.fixture
def local(local_settings: Settings) -> Storage:
    """A local folder as storage."""
    return open_storage(local_settings)


@pytest.fixture
def s3(s3_settings: Settings) -> Storage:
    """A bucket of a real S3 server as storage."""
    return open_storage(s3_settings)


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest) -> Storage:
    """A local folder, then a bucket."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file outside of the storage."""

    def make(content: bytes = b"some content", name: str = "input") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return make
