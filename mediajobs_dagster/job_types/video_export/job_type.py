"""`create_video_export_v1`, as the registry knows it. What plans and renders is loaded when it is needed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from mediajobs_dagster import models
from mediajobs_dagster.job_types.base import FFMPEG, JobType, Params
from mediajobs_dagster.job_types.material import Machine, Material, SourceUse
from mediajobs_dagster.job_types.plan import Plan
from mediajobs_dagster.job_types.video_export.encoding import ExportParams
from mediajobs_dagster.models import Job, JsonObject, RtfBasis, Subject, SubjectKind

if TYPE_CHECKING:
    from mediajobs_dagster.job_types.video_export.preparing import PreparedExport
    from mediajobs_dagster.timelines.text.fonts import Fonts

FILENAME = "video.mp4"
_KEY = re.compile(rf"renders/\d{{4}}-\d{{2}}/\d{{2}}/[0-9a-f-]{{36}}/{re.escape(FILENAME)}")


class VideoExport(JobType):
    """A timeline rendered into one video, which becomes an upload of its own, with thumbnail, proxy and envelope."""

    name: ClassVar[str] = "create_video_export_v1"
    asset: ClassVar[str] = "video_export"
    version: ClassVar[int] = 2
    params: ClassVar[type[Params]] = ExportParams
    subject: ClassVar[SubjectKind] = SubjectKind.TIMELINE
    needs: ClassVar[frozenset[str]] = frozenset({FFMPEG})
    rtf_basis: ClassVar[RtfBasis] = RtfBasis.OUTPUT

    @cached_property
    def fonts(self) -> Fonts:
        """The fonts of this machine, searched once."""
        from mediajobs_dagster.timelines.text.fonts import Fonts

        return Fonts()

    @override
    def prepare(self, material: Material, params: Params, machine: Machine) -> PreparedExport:
        from mediajobs_dagster.job_types.video_export.preparing import prepare_export

        assert isinstance(params, ExportParams)  # what `parse` made
        return prepare_export(_document(material.subject), material.sources, params, self.fonts, machine)

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        from mediajobs_dagster.job_types.video_export.preparing import PreparedExport
        from mediajobs_dagster.job_types.video_export.renderer import Renderer

        assert isinstance(params, ExportParams)  # what `parse` made
        prepared = material.prepared
        assert isinstance(prepared, PreparedExport)
        renderer = Renderer(prepared.timeline, material.sources, prepared.capabilities, params, prepared.texts)
        return renderer.plan(output_key(material.job, material.attempt_id))

    @override
    def source_uses(self, subject: Subject) -> tuple[SourceUse, ...]:
        from mediajobs_dagster.job_types.video_export.source_uses import source_uses_of
        from mediajobs_dagster.timelines.model import Timeline

        return source_uses_of(Timeline.model_validate(_document(subject)))

    @override
    def etag_of(self, subject: Subject, etags: Mapping[str, str]) -> str:
        return timeline_etag(_document(subject), etags)

    @override
    def result_keys(self, job: Job, attempt_id: str) -> tuple[str, ...]:
        return (output_key(job, attempt_id),)

    @override
    def has_made(self, key: str) -> bool:
        return _KEY.fullmatch(key) is not None


def _document(subject: Subject) -> JsonObject:
    assert isinstance(subject, models.Timeline)
    return subject.document


def output_key(job: Job, attempt_id: str) -> str:
    """The key of an attempt's export: the day of the request and the attempt id.

    Each attempt has its own key. So removing the object of a failed attempt never hits the export of the next one.
    """
    return f"renders/{job.created_at:%Y-%m}/{job.created_at:%d}/{attempt_id}/{FILENAME}"


def timeline_etag(document: JsonObject, etags: Mapping[str, str]) -> str:
    """A digest of a timeline and of the content of the uploads it refers to, by their ids."""
    basis = json.dumps([{**document, "title": ""}, sorted(etags.items())], sort_keys=True)
    return hashlib.sha256(basis.encode()).hexdigest()
