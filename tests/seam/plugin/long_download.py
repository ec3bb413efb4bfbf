"""A job type that waits for the network, however long that takes."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from mediajobs_dagster import Bench, Call, HttpClient, JobType, Lane, Material, Output, Params, Plan, SubjectKind


class DownloadParams(Params):
    """Parameters of a download."""

    address: str


class LongDownload(JobType):
    """Something large from far away."""

    name: ClassVar[str] = "long_download_v1"
    asset: ClassVar[str] = "long_download"
    lane: ClassVar[Lane] = Lane.NETWORK
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD
    params: ClassVar[type[Params]] = DownloadParams

    def plan(self, material: Material, params: Params) -> Plan:
        assert isinstance(params, DownloadParams)
        output = Output("large.bin", f"downloads/{material.subject.id}/large.bin", "application/octet-stream")
        return Plan(outputs=(output,), steps=(Call("download", partial(fetch, params.address)),))


def fetch(address: str, bench: Bench) -> None:
    """Fetch it, within the time that a job may take."""
    client = bench.service(HttpClient)
    client.download(address, bench.folder / "large.bin", service="far-away", op="fetch", max_bytes=1 << 30)


JOB_TYPE = LongDownload()
