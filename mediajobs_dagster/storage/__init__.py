"""Objects: the only folder that touches them. `open_storage` gives the storage that the settings name."""

from mediajobs_dagster.storage.base import ObjectStat, OnBytes, OnOperation, Storage, Unfinished
from mediajobs_dagster.storage.keys import attempt_key, check_key, checkpoint_key, upload_source_key
from mediajobs_dagster.storage.opening import open_storage
from mediajobs_dagster.storage.redaction import redact, redact_values
from mediajobs_dagster.storage.trash import Undo

__all__ = [
    "ObjectStat",
    "OnBytes",
    "OnOperation",
    "Storage",
    "Undo",
    "Unfinished",
    "attempt_key",
    "check_key",
    "checkpoint_key",
    "open_storage",
    "redact",
    "redact_values",
    "upload_source_key",
]
