"""The history: what was asked for and what happened. The only folder that speaks SQL."""

from mediajobs_dagster.history.actions import Action, acting_as, this_person
from mediajobs_dagster.history.attempts import AttemptFilter, FailedJob
from mediajobs_dagster.history.days import DayStanding, WithoutOutput, first_day_of
from mediajobs_dagster.history.enqueueing import Enqueued
from mediajobs_dagster.history.events import EventChanges, EventFilter
from mediajobs_dagster.history.export import ExportFormat, export, export_parquet
from mediajobs_dagster.history.frames import Frame, attempt_frame, job_frame, stage_frame
from mediajobs_dagster.history.history import History
from mediajobs_dagster.history.job_filter import JobFilter
from mediajobs_dagster.history.jobs import Due, Waiting
from mediajobs_dagster.history.leases import Claim, Dispatch, Finished
from mediajobs_dagster.history.statistics import StageFigures, StatisticsReport
from mediajobs_dagster.history.uploads import DaySummary, Registered, UploadFilter
from mediajobs_dagster.history.videos import VideoChanges, VideoFilter
from mediajobs_dagster.history.webhooks import DeliveryFilter

__all__ = [
    "Action",
    "AttemptFilter",
    "Claim",
    "DayStanding",
    "DaySummary",
    "DeliveryFilter",
    "Dispatch",
    "Due",
    "Enqueued",
    "EventChanges",
    "EventFilter",
    "ExportFormat",
    "FailedJob",
    "Finished",
    "Frame",
    "History",
    "JobFilter",
    "Registered",
    "StageFigures",
    "StatisticsReport",
    "UploadFilter",
    "VideoChanges",
    "VideoFilter",
    "Waiting",
    "WithoutOutput",
    "acting_as",
    "attempt_frame",
    "export",
    "export_parquet",
    "first_day_of",
    "job_frame",
    "stage_frame",
    "this_person",
]
