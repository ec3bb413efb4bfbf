"""A job type that calls an HTTP service, with retries and a deadline."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from mediajobs_dagster.job_types.base import JobType, Lane, Params
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Call, Output, Plan
from mediajobs_dagster.models import SubjectKind
from mediajobs_dagster.services.http import HttpClient


class HeadlineParams(Params):
    """Parameters of a headline."""

    address: str
    """Of the service that writes headlines."""
    deadline_s: float = 30.0


class Headline(JobType):
    """A headline for the upload, written by a service."""

    name: ClassVar[str] = "headline_v1"
    asset: ClassVar[str] = "headline"
    lane: ClassVar[Lane] = Lane.NETWORK
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD
    params: ClassVar[type[Params]] = HeadlineParams

    def plan(self, material: Material, params: Params) -> Plan:
        assert isinstance(params, HeadlineParams)
        key = f"headlines/uploads/{material.subject.id}/headline.json"
        ask = partial(write_headline, params.address, material.subject.title)
        return Plan(
            outputs=(Output("headline.json", key, "application/json"),),
            steps=(Call("write_headline", ask, deadline_s=params.deadline_s),),
        )


def write_headline(address: str, title: str, bench: Bench) -> None:
    """Ask the service, and keep what it answers."""
    client = bench.service(HttpClient)
    answer = client.request("GET", f"{address}/headline", service="headlines", op="write", params={"title": title})
    (bench.folder / "headline.json").write_bytes(answer.body)
    bench.report(words=len(answer.json()["headline"].split()))
