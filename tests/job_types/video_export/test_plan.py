"""The filter graphs that timelines become, as text, and what a graph under construction refuses. No ffmpeg is run.

The graphs stand in `graphs/`, a chain a line. After a change that is meant, look at what
`python -m tests.job_types.video_export.test_plan` has made of them.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.errors import HdrUnsupportedError, TimelineError
from mediajobs_dagster.job_types.material import Source, ToneMapping
from mediajobs_dagster.job_types.plan import Plan
from mediajobs_dagster.job_types.video_export.encoding import Codec, ExportParams, Hardware, Profile
from mediajobs_dagster.job_types.video_export.graph import Graph
from mediajobs_dagster.job_types.video_export.job_type import VideoExport
from mediajobs_dagster.job_types.video_export.preparing import Capabilities
from mediajobs_dagster.job_types.video_export.renderer import Renderer
from mediajobs_dagster.job_types.video_export.texts import Texts
from mediajobs_dagster.media.command import Command
from mediajobs_dagster.models import AudioStream, JsonObject, MediaInfo, VideoStream
from mediajobs_dagster.timelines.layout import canvas_fps, lay_out
from mediajobs_dagster.timelines.model import Timeline
from mediajobs_dagster.timelines.text.fonts import Fonts
from tests.job_types.planning import SaidMachine, make_calls, of_timeline, planned
from tests.job_types.sources import job, upload

GRAPHS = Path(__file__).parent / "graphs"
CAN = Capabilities(tone_mapping=ToneMapping.SWSCALE)
MACHINE = SaidMachine(ToneMapping.SWSCALE)


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


@pytest.mark.parametrize("seen", [True, False])
def test_hdr_is_noted_where_it_is_seen(seen: bool) -> None:
    """Of a source that only lends its sound no picture is tone-mapped; nor does that need an ffmpeg that can."""
    info = _media(10, transfer="smpte2084", matrix="bt2020nc")
    item = {"kind": "clip", "source": "hdr", "out": 1} if seen else {"kind": "gap", "duration": 1}
    document = {"version": "create_video_v1", "track": [item], "narration": [{"source": "hdr", "out": 1}]}
    sources = {"hdr": Source(upload(id="hdr"), info, "source_0")}
    machine = MACHINE if seen else SaidMachine()
    plan = planned(VideoExport(), of_timeline(job(), document, sources), ExportParams(), machine)
    assert plan.notes == (("Upload hdr is HDR and is tone-mapped.",) if seen else ())


@pytest.mark.parametrize("hardware", Hardware)
@pytest.mark.parametrize("codec", [Codec.H264, Codec.HEVC])
def test_hardware_that_works_is_used(hardware: Hardware, codec: Codec) -> None:
    works = Capabilities(encoders=frozenset({f"{codec}_{hardware}"}))
    renderer = _renderer("pauses_cut_from_a_talk", works, hardware=hardware, codec=codec, profile=Profile.HIGH)
    options = renderer.preview()[-1].outputs[0].options
    assert options[options.index("-c:v") + 1] == f"{codec}_{hardware}"
    assert ("hwupload" in (renderer.preview()[-1].graph or "")) == (hardware is Hardware.VAAPI)


@pytest.mark.parametrize(
    ("rate", "taken"),
    [
        (29.94, "30000/1001"),  # of a phone
        (30.1, "30"),
        (24.9, "25"),
        (60.4, "60"),
        (120.2, "60"),
        (23.8, "24000/1001"),
        (1 / 300, "24000/1001"),
        (0.0001, "24000/1001"),
        (90.0, "45"),
        (40.0, "40"),
    ],
)
def test_a_rate_that_is_nearly_a_usual_one_was_meant_to_be_it(rate: float, taken: str) -> None:
    """Unless it was asked for."""
    document = {"version": "create_video_v1", "track": [{"kind": "clip", "source": "talk", "out": 1}]}
    media = {"talk": _media(600, fps=rate)}
    assert canvas_fps(Timeline.model_validate(document), media) == Fraction(taken)
    asked = Timeline.model_validate(document | {"canvas": {"fps": "29.9"}})
    assert canvas_fps(asked, media) == Fraction(299, 10)


@pytest.mark.parametrize("preset", ["1080p", "9:16"])
@pytest.mark.parametrize(
    "crop", [None, {"width": 0.01}, {"height": 0.05, "y": 0.4}, {"x": 0.5, "width": 0.5, "height": 0.2}]
)
@pytest.mark.parametrize("source", ["talk", "old", "phone"])
def test_what_covers_the_canvas_is_scaled_to_about_its_size(
    source: str, crop: dict[str, float] | None, preset: str
) -> None:
    """However narrow the picture is, and however it lies."""
    item = {"kind": "clip", "source": source, "out": 1, "fit": "cover", "crop": crop}
    document = {"version": "create_video_v1", "canvas": {"preset": preset}, "track": [item]}
    sources = {source: Source(upload(id=source), MEDIA[source], "source_0")}
    renderer = Renderer(Timeline.model_validate(document), sources, CAN, ExportParams())
    ((width, height),) = re.findall(r"scale=(\d+):(\d+):flags=bicubic", renderer.preview()[-1].graph or "")
    canvas = renderer.layout.width * renderer.layout.height
    # Some pixels of the source are scaled along, which is much where it has but few.
    assert canvas <= int(width) * int(height) <= (1.1 if crop is None else 2.5) * canvas


def test_texts_are_tried_with_the_fonts_of_the_machine_that_draws_them() -> None:
    """On a canvas of any size."""
    layer = {"kind": "title", "text": "Hello", "duration": 1, "style": {"font": "Not Here Sans"}}
    document: JsonObject = {
        "version": "create_video_v1",
        "canvas": {"preset": "1080p"},
        "track": [{"kind": "gap", "duration": 1}],
        "layers": [layer],
    }
    with pytest.raises(TimelineError, match="no font family 'Not Here Sans'") as refusal:
        planned(VideoExport(), of_timeline(job(), document, {}), ExportParams(), MACHINE)
    assert [fault["path"] for fault in refusal.value.faults] == ["$.layers[0].style.font"]


def test_captions_are_drawn_where_a_frame_shows_them(tmp_path: Path) -> None:
    """Of a thousand in a second there are thirty pictures, and the room that they take on disk is asked for."""
    text = "".join(f"00:00:00,{n:03} --> 00:00:00,{n + 1:03}\nThe number is {n}\n\n" for n in range(999))
    timeline = Timeline.model_validate(
        {
            "version": "create_video_v1",
            "canvas": {"preset": "1080p", "fps": 30},
            "track": [{"kind": "gap", "duration": 1}],
            "layers": [{"kind": "captions", "format": "srt", "text": text}],
        }
    )
    texts = Texts.of(timeline, (1920, 1080), Fonts())
    plan = Renderer(timeline, {}, CAN, ExportParams(), texts).plan("renders/key")
    make_calls(plan, tmp_path)
    pictures = [path.read_bytes() for path in tmp_path.glob("*.pam")]
    assert 25 <= len(pictures) <= 31
    assert plan.scratch_bytes is not None
    assert plan.scratch_bytes > sum(len(each) - 100 for each in pictures) > 10**6


def test_a_source_that_lends_its_sound_alone_is_not_tone_mapped() -> None:
    """Nor is that said of it."""
    talk = MEDIA["hdr"].model_copy(update={"audio": MEDIA["talk"].audio})
    sources = {"hdr": Source(upload(id="hdr"), talk, "source_0")}
    document = {"version": "create_video_v1", "track": [{"kind": "gap", "duration": 1}]}
    heard = Timeline.model_validate(document | {"narration": [{"source": "hdr"}]})
    assert Renderer(heard, sources, CAN, ExportParams()).plan("renders/key").notes == ()
    seen = Timeline.model_validate(document | {"layers": [{"kind": "video", "source": "hdr"}]})
    assert Renderer(seen, sources, CAN, ExportParams()).plan("renders/key").notes == (
        "Upload hdr is HDR and is tone-mapped.",
    )


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
        return planned(VideoExport(), of_timeline(job(), asked_for, sources), ExportParams(), MACHINE)

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
