"""Results of steps that further attempts at a job go on from, as objects below `checkpoints/`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from mediajobs_dagster.attempts.recorder import Recorder
from mediajobs_dagster.errors import MediaJobsError
from mediajobs_dagster.models import JsonObject, Value, new_id
from mediajobs_dagster.storage import Storage, checkpoint_key
from mediajobs_dagster.storage.keys import CHECKPOINTS


class _Kept(Value):
    """A checkpoint as it is stored."""

    result: JsonObject
    used: tuple[str, ...] = ()
    """Keys of the checkpoints that it was made with: who goes on from this one has no more use for them."""


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
            kept = _Kept.model_validate_json(storage.read(key))
        except ValidationError:
            return None
        for used in kept.used:
            if used.startswith(CHECKPOINTS):
                self._note_use(used)
        return kept.result

    def save(self, fingerprint: str, result: JsonObject) -> None:
        """Keep a result. A storage that does not take it costs no more than a note: the work itself is done."""
        key = self._key(fingerprint)
        path = self.folder / f"checkpoint-{new_id()}"
        path.write_text(_Kept(result=result, used=tuple(self.recorder.checkpoints)).model_dump_json())
        try:
            self.open_storage().put(path, key, content_type="application/json")
            self._note_use(key)
        except MediaJobsError as error:
            self.recorder.note(f"A result was not kept for further attempts: {error.code}")
        finally:
            path.unlink()

    def _key(self, fingerprint: str) -> str:
        return checkpoint_key(self.recorder.key.job_type, self.recorder.key.subject_id, fingerprint)

    def _note_use(self, key: str) -> None:
        if key not in self.recorder.checkpoints:
            self.recorder.checkpoints.append(key)
