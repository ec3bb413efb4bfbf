"""Results of steps that further attempts at a job go on from, as objects below `checkpoints/`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from mediajobs_dagster.attempts.recorder import Recorder
from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.models import JsonObject, new_id
from mediajobs_dagster.storage import Storage, checkpoint_key


@dataclass(frozen=True)
class StoredCheckpoints:
    """The checkpoints of one attempt: see `Checkpoints`."""

    folder: Path
    """The attempt's scratch folder."""
    recorder: Recorder
    open_storage: Callable[[], Storage]

    def load(self, fingerprint: str) -> JsonObject | None:
        """What was saved under a fingerprint for the same subject; None: nothing, or what cannot be read."""
        key, storage = self._key(fingerprint), self.open_storage()
        if storage.find(key) is None:
            return None
        self._note_use(key)
        try:
            found = json.loads(storage.read(key))
        except ValueError:
            return None
        return cast("JsonObject", found) if isinstance(found, dict) else None

    def save(self, fingerprint: str, result: JsonObject) -> None:
        """Keep a result. A storage that does not take it costs no more than a note: the work itself is done."""
        key = self._key(fingerprint)
        path = self.folder / f"checkpoint-{new_id()}"
        path.write_text(json.dumps(result, ensure_ascii=False, allow_nan=False))
        try:
            self.open_storage().put(path, key, content_type="application/json")
            self._note_use(key)
        except MediaJobsError as error:
            self.recorder.notes.append(f"A result was not kept for further attempts: {error.code}")
        finally:
            path.unlink()

    def _key(self, fingerprint: str) -> str:
        return checkpoint_key(self.recorder.key.job_type, self.recorder.key.subject_id, fingerprint)

    def _note_use(self, key: str) -> None:
        if key not in self.recorder.checkpoints:
            self.recorder.checkpoints.append(key)
