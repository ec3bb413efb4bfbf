"""The filter graphs that timelines become, as text, and what a graph under construction refuses. No ffmpeg is run.

The graphs stand in `graphs/`, a chain a line. After a change that is meant, look at what
`python -m tests.job_types.video_export.test_plan` has made of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.errors import HdrUnsupportedError, TimelineError
from mediajobs_dagster.job_types.base import Capabilities, Material, Plan, Source, ToneMapping
from mediajobs_dagster.job_types.video_export.encoding import Codec, ExportParams, Hardware, Profile
from mediajobs_dagster.job_types.video_export.export import Renderer, VideoExport
from mediajobs_dagster.job_types.video_export.graph import Graph
from mediajobs_dagster.job_types.video_export.layout import lay_out
from mediajobs_dagster.job_types.video_export.timeline import Timeline
from mediajobs_dagster.media.command import Command
from mediajobs_dagster.models import AudioStream, JsonObject, MediaInfo, VideoStream
from tests.job_types.sources import job, upload

GRAPHS = Path(__file__).parent / "graphs"
CAN = Capabilities(tone_mapping=lambda: ToneMapping.SWSCALE)


def _media(seconds: float, *, channels: int = 2, container: str = "mov,mp4", **picture: Any) -> MediaInfo:
    video = VideoStream(
        **{"index": 0, "codec": "h264", "width": 1280, "height": 720, "fps": 30.0, "matrix": "bt709"} | picture
    )
    audio = (AudioStream(index=1, codec="aac", channels=channels, sample_rate=48_000),) if channels else ()
    return MediaInfo(container=container, duration_seconds=seconds, bytes=1, video=(video,), audio=audio)


def _sound(seconds: float) -> MediaInfo:
    audio = AudioStream(index=0, codec="pcm_s16le", channels=1, sample_rate=48_000)
    return MediaInfo(container="wav", duration_seconds=seconds, bytes=1, audio=(audio,))


MEDIA = {
    "talk": _media(600),
    "old": _media(60, width=480, height=360, sample_aspect=(4, 3), matrix=None, fps=25.0),
    "phone": _media(20, width=1920, height=1080, rotation=90, channels=1, fps=29.97),
    "stream": _media(60, container="mpegts", channels=0),
    "hdr": _media(10, transfer="smpte2084", matrix="bt2020nc", channels=0),
    "voice": _sound(30),
    "song": _sound(12),
    "picture": MediaInfo(
        container="image",
        duration_seconds=0,
        bytes=1,
        video=(VideoStream(index=0, codec="rgba", width=800, height=800, frames=1),),
    ),
}

DISSOLVE = {"kind": "dissolve", "duration": 0.5}
FADE = {"kind": "fade", "duration": 1, "color": "#102030"}
COMING = {"kind": "fade"}
TIMELINES: dict[str, dict[str, Any]] = {
    "pauses_cut_from_a_talk": {
        "track": [
            {"kind": "clip", "source": "talk", "in": 10, "out": 12},
            {"kind": "clip", "source": "talk", "in": 12.5, "out": 20, "gainDb": 3},
            {"kind": "clip", "source": "talk", "in": 21, "out": "781/30", "mute": True},
            {"kind": "clip", "source": "talk", "in": 100, "out": 101, "transition": DISSOLVE},
        ]
    },
    "pictures_of_every_kind": {
        "canvas": {"preset": "9:16", "fps": "30000/1001", "background": {"kind": "blur"}},
        "track": [
            {"kind": "clip", "source": "old", "in": 1, "out": 3, "speed": 2, "fit": "cover"},
            {"kind": "clip", "source": "phone", "out": 2, "hold": 1, "transition": FADE},
            {"kind": "still", "source": "stream", "at": 30, "duration": 1, "crop": {"x": 0.25, "width": 0.5}},
            {"kind": "clip", "source": "hdr", "out": 1},
            {"kind": "image", "source": "picture", "duration": 2, "start": 7},
            {"kind": "gap", "duration": 0.5},
        ],
    },
    "layers_and_sound": {
        "canvas": {"width": 1280, "height": 720, "fps": 30},
        "track": [{"kind": "clip", "source": "talk", "in": 5, "out": 25}],
        "layers": [
            {"kind": "video", "source": "stream", "in": 20, "out": 25, "start": 1, "radius": 0.2, "enter": COMING},
            {
                "kind": "logo",
                "source": "picture",
                "opacity": 0.5,
                "duration": 3,
                "exit": {"kind": "slide", "side": "top"},
            },
            {"kind": "visualiser", "narration": "n", "style": "spectrum"},
        ],
        "narration": [{"id": "n", "source": "voice", "start": 4, "in": 2, "out": 10, "fadeIn": 0.5}],
        "music": [
            {"source": "song", "mode": "opener"},
            {"source": "song", "start": 10, "mode": "duck", "duckDb": 12},
            {"source": "song", "start": 15, "duration": 2, "mode": "replace"},
        ],
    },
}


def _renderer(name: str, capabilities: Capabilities = CAN, **params: Any) -> Renderer:
    timeline = Timeline.model_validate({"version": "create_video_v1", **TIMELINES[name]})
    sources = {
        reference: Source(upload(id=reference), info, f"source_{number}")
        for number, (reference, info) in enumerate(MEDIA.items())
    }
    return Renderer(timeline, sources, capabilities, ExportParams(**params))


def _written(command: Command) -> str:
    """Inputs and chains, one a line."""
    inputs = [
        " ".join(["input", *getattr(part, "options", ()), getattr(part, "source", "")]) for part in command.inputs
    ]
    return "\n".join([*inputs, *(command.graph or "").split(";")]) + "\n"


def _text(name: str) -> str:
    commands = _renderer(name).preview()
    return "\n".join(_written(command) for command in commands)


@pytest.mark.parametrize("name", TIMELINES)
def test_the_graphs_are_as_they_were(name: str) -> None:
    assert _text(name) == (GRAPHS / f"{name}.txt").read_text()


def test_the_same_timeline_has_the_same_graph() -> None:
    assert [_text(name) for name in TIMELINES] == [_text(name) for name in TIMELINES]


def test_what_cannot_be_tone_mapped_is_refused() -> None:
    with pytest.raises(HdrUnsupportedError, match="cannot tone-map"):
        _renderer("pictures_of_every_kind", Capabilities()).preview()
    _renderer("pictures_of_every_kind", Capabilities(), allow_untonemapped=True).preview()


@pytest.mark.parametrize("hardware", Hardware)
@pytest.mark.parametrize("codec", [Codec.H264, Codec.HEVC])
def test_hardware_that_works_is_used(hardware: Hardware, codec: Codec) -> None:
    works = Capabilities(works=lambda encoder: encoder == f"{codec}_{hardware}")
    renderer = _renderer("pauses_cut_from_a_talk", works, hardware=hardware, codec=codec, profile=Profile.HIGH)
    options = renderer.preview()[-1].outputs[0].options
    assert options[options.index("-c:v") + 1] == f"{codec}_{hardware}"
    assert ("hwupload" in (renderer.preview()[-1].graph or "")) == (hardware is Hardware.VAAPI)


def test_what_follows_a_gap_begins_at_its_start() -> None:
    track = [{"kind": "gap", "duration": 1}, {"kind": "gap", "duration": 1, "start": 3}]
    layout = lay_out(Timeline.model_validate({"version": "create_video_v1", "track": track}), {})
    assert [(segment.first, segment.end) for segment in layout.segments] == [(0, 30), (30, 90), (90, 120)]


@pytest.mark.parametrize(
    ("document", "replacement", "path"),
    [
        ({"track": [{"kind": "clip", "source": "talk", "in": 80, "out": 82}]}, _media(60), "$.track[0].out"),
        (
            {
                "track": [{"kind": "clip", "source": "talk", "out": 5}],
                "layers": [{"kind": "title", "text": "Incomprehensibilities", "duration": 2, "style": {"size": 0.1}}],
            },
            _media(600, width=64, height=1080),
            "$.layers[0].text",
        ),
    ],
)
def test_sources_that_were_replaced_since(document: JsonObject, replacement: MediaInfo, path: str) -> None:
    """An edit that fitted when it was asked for is refused when they are too short, or of another shape."""
    asked_for = {"version": "create_video_v1", **document}

    def plan(info: MediaInfo) -> Plan:
        sources = {"talk": Source(upload(id="talk"), info, "source_0")}
        return VideoExport().plan(Material(job(), sources, asked_for, CAN), ExportParams())

    assert plan(MEDIA["talk"]).steps
    with pytest.raises(TimelineError, match="sources as they are now") as refusal:
        plan(replacement)
    assert [fault["path"] for fault in refusal.value.faults] == [path]


# --- graphs ----------------------------------------------------------------------------------------------------------


def test_a_graph_refuses_loose_pads() -> None:
    graph = Graph()
    first = graph.add("first", ["null"], "0:0")
    graph.add("second", ["null"], "1:0")
    with pytest.raises(ValueError, match="loose: second"):
        graph.text(first)


def test_a_pad_is_taken_once() -> None:
    graph = Graph()
    first = graph.add("first", ["null"], "0:0")
    graph.add("second", ["null"], first)
    with pytest.raises(KeyError):
        graph.add("third", ["null"], first)


def test_a_pad_is_named_once() -> None:
    graph = Graph()
    graph.add("first", ["null"], "0:0")
    with pytest.raises(ValueError, match="named twice: first"):
        graph.add("first", ["null"], "1:0")


def test_an_output_has_to_be_there() -> None:
    with pytest.raises(ValueError, match="loose: nothing"):
        Graph().text("nothing")


if __name__ == "__main__":
    for each in TIMELINES:
        (GRAPHS / f"{each}.txt").write_text(_text(each))
