"""What the job types have in common that make a picture of the picture of an upload."""

from __future__ import annotations

from abc import abstractmethod

from typing_extensions import override

from mediajobs_dagster.job_types.base import Params, UploadJobType
from mediajobs_dagster.job_types.geometry import may_have_picture
from mediajobs_dagster.job_types.material import Machine, Material, Source, ToneMapping
from mediajobs_dagster.job_types.plan import Plan
from mediajobs_dagster.models import Upload


class PictureJobType(UploadJobType):
    """A job type that needs a moving picture, and shows HDR and wide colours as every screen does where ffmpeg can."""

    @override
    def wanted_for(self, upload: Upload) -> bool:
        return may_have_picture(upload)

    @override
    def rehearsal(self, clip: Upload) -> Upload:
        return clip

    @override
    def prepare(self, material: Material, params: Params, machine: Machine) -> ToneMapping | None:
        video = material.primary.info.main_video
        return machine.tone_mapping() if video and video.is_wide else None

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        return self.plan_picture(material.primary, params, material.prepared)

    @override
    def plan_upload(self, source: Source, params: Params) -> Plan:
        return self.plan_picture(source, params, None)

    @abstractmethod
    def plan_picture(self, source: Source, params: Params, tone_mapping: ToneMapping | None) -> Plan:
        """The plan for one upload. HDR and wide colours become BT.709, unless `tone_mapping` is None.

        Raises as `plan_upload`.
        """
