"""The job log of an installation: entries made of the history, as jobs end or all at once."""

from mediajobs_dagster.use_cases.job_log.gathering import Gathering
from mediajobs_dagster.use_cases.job_log.unlogged import Unlogged
from mediajobs_dagster.use_cases.job_log.writing import JobLogListener, entries_of, write_job_log

__all__ = ["Gathering", "JobLogListener", "Unlogged", "entries_of", "write_job_log"]
