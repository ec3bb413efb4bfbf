"""`create_video_export_v1`: renders a timeline into one video. Begin reading at `renderer`."""

from mediajobs_dagster.job_types.video_export.renderer import VideoExport

JOB_TYPE = VideoExport()
