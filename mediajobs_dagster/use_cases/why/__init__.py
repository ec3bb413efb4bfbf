"""Why a job waits, or why it ended as it did and whether it will be tried again: one answer for every cause."""

from mediajobs_dagster.use_cases.why.answer import Cause, CauseKind, Why
from mediajobs_dagster.use_cases.why.explaining import Explaining
from mediajobs_dagster.use_cases.why.signs import LaneUse, RunSign, RunStage, Signs

__all__ = ["Cause", "CauseKind", "Explaining", "LaneUse", "RunSign", "RunStage", "Signs", "Why"]
