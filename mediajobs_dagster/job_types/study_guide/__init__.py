"""`study_guide_v1`: notes and questions about a talk, from its transcript. Begin reading at `job_type`."""

from mediajobs_dagster.job_types.study_guide.job_type import StudyGuide

__all__ = ["JOB_TYPE", "StudyGuide"]

JOB_TYPE = StudyGuide()
