"""dagster-aws, which comes with the extra `cluster`."""

# It is typed in part:
# pyright: reportUnknownVariableType=false
from __future__ import annotations

from dagster_aws.s3.compute_log_manager import S3ComputeLogManager

__all__ = [
    "S3ComputeLogManager",  # what runs print, on S3; ours leaves nothing of a run that printed nothing
]
