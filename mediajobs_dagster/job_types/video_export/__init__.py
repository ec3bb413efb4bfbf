"""`create_video_export_v1`: renders a timeline into one video. Begin reading at `job_type`, then `renderer`."""

from mediajobs_dagster.job_types.video_export.job_type import VideoExport

JOB_TYPE = VideoExport()
