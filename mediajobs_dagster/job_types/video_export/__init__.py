"""`create_video_export_v1`: renders a timeline into one video. Begin reading at `export`."""

from mediajobs_dagster.job_types.video_export.export import VideoExport

JOB_TYPE = VideoExport()
