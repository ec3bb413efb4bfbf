"""Verification is able to fail: a right output that is damaged afterwards is not published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from mediajobs_dagster.job_types.base import Params
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.edit_proxy import EditProxy
from mediajobs_dagster.job_types.material import Material
from mediajobs_dagster.job_types.plan import Call, Plan
from mediajobs_dagster.job_types.registry import Registry
from mediajobs_dagster.job_types.video_export import VideoExport
from mediajobs_dagster.media.tools import Tools
from mediajobs_dagster.timelines.model import VERSION
from tests.exports.barcodes import write_wav
from tests.platform import Platform
from tests.zoo import footage
from tests.zoo.damages import DAMAGES, damage
from tests.zoo.making import AAC, H264, Maker, frames

_UNNOTICED_IN_BOTH = (
    "a frame shown twice",
    "the picture a frame late",
    "the picture standing still",
    "black for a second",
    "upside down",
    "in another matrix",
    "the sound 0.06 s late",
)
UNNOTICED: Mapping[str, tuple[str, ...]] = {
    "proxy": (
        *_UNNOTICED_IN_BOTH,
        "black",
        "muted",
        "the sound 0.5 s late",
        "the sound 12 dB softer",
        "a second of sound missing",
        "the sound twice as fast",
    ),
    "export": _UNNOTICED_IN_BOTH,
}
"""Damages that verification does not find. One that it learns to find has to be taken out."""


class _DamagedProxy(EditProxy):
    def __init__(self, damage: Callable[[Path], None]) -> None:
        self._damage = damage

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        return _damaged(super().plan(material, params), self._damage, "edit_proxy.mp4")


class _DamagedExport(VideoExport):
    def __init__(self, damage: Callable[[Path], None]) -> None:
        self._damage = damage

    @override
    def plan(self, material: Material, params: Params) -> Plan:
        return _damaged(super().plan(material, params), self._damage, "video.mp4")


def _damaged(plan: Plan, damage: Callable[[Path], None], name: str) -> Plan:
    def call(bench: Bench) -> None:
        damage(bench.folder / name)

    return replace(plan, steps=(*plan.steps, Call("damage", call)))


@pytest.fixture(scope="module")
def source(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.5 s of picture at 30 frames a second, and a sound that never ends but changes all the time."""
    folder = tmp_path_factory.mktemp("source")
    sound = write_wav(folder / "sound.wav", 0.2 * footage.decoy(2.5) + footage.sound(2.5))
    path = folder / "source.mp4"
    Maker(folder, tools).encode(path, frames(75), *H264, *AAC, rate="30", inputs=("-i", sound))
    return path


@pytest.fixture
def outcome(open_platform: Callable[..., Platform], tools: Tools, source: Path) -> Callable[[str, str], str | None]:
    """The code of the error that a job ends with when its output is damaged; None: it is published."""

    def attempt(job: str, how: str) -> str | None:
        def change(path: Path) -> None:
            damage(path, how, tools)

        types: Any = {"proxy": _DamagedProxy, "export": _DamagedExport}[job]
        damaged = types(change)
        platform = open_platform(registry=Registry.standard().with_types(damaged), max_attempts=1)
        platform.media.add(source, types=[damaged.name] if job == "proxy" else [])
        if job == "export":
            track = [{"kind": "clip", "source": source.name}]
            platform.media.export({"version": VERSION, "track": track, "loudness": None})
        (ended,) = platform.work()
        return ended.error.code if ended.error else None

    return attempt


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("job", ["proxy", "export"])
def test_a_damaged_video_is_not_published(outcome: Callable[[str, str], str | None], job: str, how: str) -> None:
    """All but those that are known to pass; and one that was not damaged is published."""
    passes = how == "nothing" or how in UNNOTICED[job]
    # Where the damage does not show on a test clip, the input is blamed for it.
    assert outcome(job, how) in ([None] if passes else ["OUTPUT_INVALID", "INPUT_UNPROCESSABLE"])
