"""What runs print, in a cluster: on S3. A run that prints nothing leaves neither an object nor a folder.

`deploy/dagster.celery.yaml` names it. It takes the configuration of Dagster's own class.
"""

# dagster-aws is typed in part:
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from typing_extensions import override

from mediajobs_dagster.orchestration.folders import remove_if_empty
from mediajobs_dagster.orchestration.internals.s3 import S3ComputeLogManager
from mediajobs_dagster.orchestration.internals.storage import IO_TYPE_EXTENSION, CapturedLogContext, ComputeIOType


class ClusterComputeLogs(S3ComputeLogManager):
    """What runs print, on S3. Set `skip_empty_files`: then what printed nothing leaves no object."""

    @contextmanager
    @override
    def capture_logs(self, log_key: Sequence[str]) -> Generator[CapturedLogContext]:
        """Send what is printed inside the block to S3, and leave nothing on this machine."""
        try:
            with super().capture_logs(log_key) as context:
                yield context
        finally:
            here = Path(self.local_manager.get_captured_local_path(log_key, IO_TYPE_EXTENSION[ComputeIOType.STDOUT]))
            remove_if_empty(here.parent, here.parent.parent)

    @override
    def is_capture_complete(self, log_key: Sequence[str]) -> bool:
        """Whether no more will come: Dagster's own class tells by an object, which a run may not have left."""
        return super().is_capture_complete(log_key) or self._is_finished(log_key[0])

    @override
    def download_url_for_type(self, log_key: Sequence[str], io_type: ComputeIOType) -> str | None:
        """The address of what was printed; None where nothing was."""
        return (
            super().download_url_for_type(log_key, io_type) if self.cloud_storage_has_logs(log_key, io_type) else None
        )

    def _is_finished(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id) if self.has_instance else None
        return run is not None and run.is_finished
