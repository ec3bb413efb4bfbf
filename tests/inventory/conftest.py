"""A storage of each kind with known objects in it, and a history on each engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.history import History
from mediajobs_dagster.inventory.inventory import Inventory
from mediajobs_dagster.models import AttemptStatus, JobStatus, Upload, new_id, utc_now
from mediajobs_dagster.settings import Settings
from mediajobs_dagster.storage import ObjectStat, Storage, open_storage, upload_source_key
from tests.history.conftest import cleared_postgres as cleared_postgres
from tests.history.conftest import history as history
from tests.history.conftest import history_url as history_url
from tests.history.conftest import migrated_postgres as migrated_postgres
from tests.history.factories import an_upload, claimed, ended

DAY = timedelta(days=1)
TEXT = "text/plain"


@dataclass
class Store:
    """A storage with a history, seen from some days ahead: everything in it is that old then."""

    settings: Settings
    history: History
    storage: Storage
    file: Path
    days: float = 2.0
    """How far ahead."""

    def inventory(self, **settings: Any) -> Inventory:
        """The use cases, some days ahead; keyword arguments are settings."""
        changed = self.settings.model_copy(update=settings)
        ahead = self.days * DAY
        return Inventory(changed, lambda: self.history, lambda: self.storage, now=lambda: utc_now() + ahead)

    def put(self, key: str, text: str = "12345") -> str:
        """Store an object; its key."""
        self.file.write_text(text)
        self.storage.put(self.file, key, content_type=TEXT)
        return key

    def upload(self, *, key: str | None = None, is_there: bool = True) -> Upload:
        """Register an upload, and store its content."""
        upload_id = new_id()
        upload = an_upload(id=upload_id, storage_key=key or upload_source_key(upload_id), created_at=utc_now())
        if is_there:
            self.put(upload.storage_key)
        return self.history.uploads.add(upload)

    def output(self, subject_id: str, *, is_there: bool = True) -> str:
        """Record a success with one output, and store that; its key."""
        claim = claimed(self.history, subject_id=subject_id)
        key = f"thumbs/uploads/{subject_id}/{claim.attempt.id}/thumb.jpg"
        if is_there:
            self.put(key)
        result = {"fingerprint": "f", "outputs": [{"key": key, "bytes": 5}]}
        attempt = ended(claim, result=result)
        self.history.leases.finish(attempt, job_status=JobStatus.COMPLETED)
        return key

    def lost(self, subject_id: str = "s") -> str:
        """Record a lost attempt, and store what it published; its key."""
        claim = claimed(self.history, subject_id=subject_id)
        key = self.put(f"thumbs/uploads/{subject_id}/{claim.attempt.id}/thumb.jpg")
        self.history.leases.finish(ended(claim, AttemptStatus.LOST), job_status=JobStatus.FAILED)
        return key

    def running(self, subject_id: str = "s") -> str:
        """Store what a running attempt has published; its key."""
        claim = claimed(self.history, subject_id=subject_id)
        return self.put(f"thumbs/uploads/{subject_id}/{claim.attempt.id}/thumb.jpg")

    def there(self) -> set[str]:
        """What lies in the storage, but for the trash."""
        found = {each.key for each in self.storage.walk() if isinstance(each, ObjectStat)}
        return {key for key in found if not key.startswith(".trash/")}


@pytest.fixture
def local(tmp_path: Path, history: History) -> Store:
    """On a local folder; the history on each engine in turn."""
    settings = Settings.load(_env_file=None, home=tmp_path / "home")
    return Store(settings, history, open_storage(settings), tmp_path / "file")


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """On a local folder, then on a real S3 server; the history on SQLite."""
    settings = Settings.load(_env_file=None, home=tmp_path / "home")
    if request.param == "s3":
        settings = request.getfixturevalue("s3_settings")
    with History.open(f"sqlite:///{tmp_path / 'history.db'}") as history:
        yield Store(settings, history, open_storage(settings), tmp_path / "file")


MakeMap = Callable[..., Path]


@pytest.fixture
def a_map(tmp_path: Path) -> MakeMap:
    """Writes a storage map of these prefixes and their retention."""

    def write(**days: int | None) -> Path:
        entries = [
            {
                "prefix": f"{name}/",
                "purpose": "Things.",
                "jobType": None,
                "patterns": [f"{name}/{{key}}"],
                "examples": [f"{name}/a"],
                "retentionDays": kept,
                "retention": "Some.",
            }
            for name, kept in days.items()
        ]
        path = tmp_path / "map.json"
        path.write_text(json.dumps({"version": 1, "entries": entries}))
        return path

    return write
