"""`upload_audio_envelope_v1`: the loudness of a video over time. Begin reading at `job_type`."""

from mediajobs_dagster.job_types.audio_envelope.job_type import AudioEnvelope

__all__ = ["JOB_TYPE", "AudioEnvelope"]

JOB_TYPE = AudioEnvelope()
