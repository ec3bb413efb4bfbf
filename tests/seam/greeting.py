"""A job type that only writes a literal: it needs no ffmpeg, reads no media and has no steps."""

from __future__ import annotations

from typing import ClassVar

from mediajobs_dagster.job_types.base import JobType, Lane, Params
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Output, Plan
from mediajobs_dagster.models import SubjectKind


class GreetingParams(Params):
    """Parameters of a greeting."""

    greeting: str = "Hello"


class Greeting(JobType):
    """A text that greets the upload by its name."""

    name: ClassVar[str] = "greeting_v1"
    asset: ClassVar[str] = "greeting"
    lane: ClassVar[Lane] = Lane.LIGHT
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD
    params: ClassVar[type[Params]] = GreetingParams

    def plan(self, material: Material, params: Params) -> Plan:
        assert isinstance(params, GreetingParams)
        text = f"{params.greeting}, {material.subject.title}!\n"
        key = f"greetings/uploads/{material.subject.id}/greeting.txt"
        return Plan(outputs=(Output("greeting.txt", key, "text/plain", literal=text.encode()),))
