"""A job type that reads its upload, without ffmpeg."""

from __future__ import annotations

import hashlib
from typing import ClassVar

from mediajobs_dagster import (
    Access,
    Bench,
    Call,
    JobType,
    Lane,
    Material,
    Output,
    Params,
    Plan,
    SourceUse,
    Subject,
    SubjectKind,
)


class Digest(JobType):
    """The SHA-256 of an upload, for whoever keeps copies."""

    name: ClassVar[str] = "digest_v1"
    asset: ClassVar[str] = "digest"
    lane: ClassVar[Lane] = Lane.LIGHT
    subject: ClassVar[SubjectKind] = SubjectKind.UPLOAD

    def source_uses(self, subject: Subject) -> tuple[SourceUse, ...]:
        return (SourceUse(subject.id, Access.WHOLE),)

    def plan(self, material: Material, params: Params) -> Plan:
        output = Output("digest.txt", f"digests/{material.subject.id}/digest.txt", "text/plain")
        return Plan(outputs=(output,), steps=(Call("digest", write_digest),))


def write_digest(bench: Bench) -> None:
    """Read the source piece by piece, so that an interrupt need not wait for the last."""
    digest = hashlib.sha256()
    with (bench.folder / "source").open("rb") as source:
        while piece := source.read(1 << 20):
            bench.check()
            digest.update(piece)
    (bench.folder / "digest.txt").write_text(f"{digest.hexdigest()}\n")


JOB_TYPE = Digest()
