"""`transcript_v1`: what is said in an upload. Begin reading at `job_type`."""

from mediajobs_dagster.job_types.transcript.job_type import TranscriptJob

__all__ = ["JOB_TYPE", "TranscriptJob"]

JOB_TYPE = TranscriptJob()
