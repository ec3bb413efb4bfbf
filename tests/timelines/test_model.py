"""The format: times are exact, unknown fields are refused, limits hold, defaults are what the document says."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any

import jsonschema
import pytest

from mediajobs_dagster.timelines.model import (
    Clip,
    LowerThird,
    Music,
    Timeline,
    Title,
    VideoLayer,
    timeline_schema,
)
from mediajobs_dagster.timelines.parsing import parse_timeline
from mediajobs_dagster.timelines.times import SAMPLE_RATE, exact, samples_at, snap, time_to_json

NTSC = Fraction(30_000, 1001)


# --- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (2, Fraction(2)),
        (0.1, Fraction(1, 10)),
        (1e-7, Fraction(1, 10**7)),
        ("2.50", Fraction(5, 2)),
        ("1001/30000", Fraction(1001, 30_000)),
        ("-3/4", Fraction(-3, 4)),
        (Fraction(1, 3), Fraction(1, 3)),
    ],
)
def test_a_time_is_what_is_written(written: object, meant: Fraction) -> None:
    """A float stands for its decimal, a text for its rational."""
    assert exact(written) == meant


@pytest.mark.parametrize(
    "written",
    [
        json.loads("1e400"),
        json.loads("NaN"),
        10**400,
        -(10**18),
        "1/0",
        "1e3",
        "",
        " 1",
        "1/-2",
        ".5",
        "9" * 19,
        "１",
        True,
        None,
        [1],
    ],
)
def test_what_is_no_time_is_refused(written: object) -> None:
    """With a message that says what a time is."""
    with pytest.raises(ValueError, match="time"):
        exact(written)


def test_times_are_told_as_they_were_written() -> None:
    """Whole numbers, decimals where they are exact, rationals otherwise."""
    assert [time_to_json(exact(each)) for each in (3, 0.1, "2.50", "1001/30000")] == [3, 0.1, 2.5, "1001/30000"]


def test_told_times_come_back() -> None:
    """Through JSON, unchanged."""
    random = Random(1)
    for _ in range(2000):
        value = Fraction(random.randrange(10**12), random.choice([1, 7, 1000, 1001, 48_000, 10**9, 999_999_937]))
        assert exact(json.loads(json.dumps(time_to_json(value)))) == value


def test_the_nearest_frame_halves_upwards() -> None:
    """In any rate, with no float on the way."""
    assert [snap(Fraction(k, 60), Fraction(30)) for k in range(5)] == [0, 1, 1, 2, 2]
    assert snap(Fraction(1001, 30_000) * 17_981, NTSC) == 17_981
    assert snap(Fraction(1, 2) / NTSC - Fraction(1, 10**15), NTSC) == 0
    assert snap(Fraction(1, 2) / NTSC, NTSC) == 1


def test_rounding_does_not_add_up() -> None:
    """After thousands of items of odd lengths the end is still at the nearest frame, and the sound at its sample."""
    random = Random(2)
    edges = [Fraction(0)]
    for _ in range(3000):
        edges.append(edges[-1] + Fraction(random.randrange(100, 3000), 1001))
    frames = [snap(edge, NTSC) for edge in edges]
    assert all(abs(frame - edge * NTSC) <= Fraction(1, 2) for frame, edge in zip(frames, edges, strict=True))
    pieces = [samples_at(after, NTSC) - samples_at(before, NTSC) for before, after in pairwise(frames)]
    assert abs(sum(pieces) - frames[-1] / NTSC * SAMPLE_RATE) <= Fraction(1, 2)


# --- form ------------------------------------------------------------------------------------------------------------

CLIP = {"kind": "clip", "source": "a"}
TITLE = {"kind": "title", "text": "a", "duration": 1}


def whole(**parts: object) -> dict[str, Any]:
    return {"version": "create_video_v1", "track": [CLIP], **parts}


def in_track(**parts: object) -> dict[str, Any]:
    return whole(track=[CLIP | parts])


def in_layer(**parts: object) -> dict[str, Any]:
    return whole(layers=[TITLE | parts])


def faults(document: dict[str, Any]) -> list[str]:
    return [str(fault) for fault in parse_timeline(document).faults]


def test_the_least_there_can_be() -> None:
    """One clip; all else has a default."""
    timeline = Timeline.model_validate(whole())
    assert timeline.track == (Clip(kind="clip", source="a"),)
    assert (timeline.layers, timeline.narration, timeline.music) == ((), (), ())
    assert timeline.loudness is not None
    assert (timeline.loudness.target, timeline.loudness.true_peak) == (-16, -1.5)
    assert Timeline.model_validate(whole(loudness=None)).loudness is None


def test_defaults() -> None:
    """A few of those that people will lean on; the document is held to all of them elsewhere."""
    timeline = Timeline.model_validate(
        whole(
            layers=[TITLE, {"kind": "video", "source": "a"}, {"kind": "lower_third", "name": "A", "duration": 1}],
            music=[{"source": "m"}],
        )
    )
    title, video, third = timeline.layers
    (music,) = timeline.music
    assert isinstance(title, Title)
    assert (title.style.font, title.style.weight, title.place) == ("Noto Sans", 500, "middle")
    assert isinstance(video, VideoLayer)
    assert (video.in_, video.out, video.scale, video.position.x, video.position.y) == (0, None, 0.3, 0.82, 0.8)
    assert isinstance(third, LowerThird)
    assert third.style.box is not None
    assert isinstance(music, Music)
    assert (music.mode, music.duck_db, music.gain_db, music.fade_in) == ("duck", 12, -6, Fraction(35, 100))


def test_a_timeline_comes_back_from_json() -> None:
    """Rationals and all."""
    timeline = Timeline.model_validate(in_track(**{"in": "1001/30000", "out": 7.1, "speed": 2}))
    assert Timeline.model_validate(json.loads(json.dumps(timeline.to_json()))) == timeline


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (whole(extra=1), "$.extra"),
        (whole(canvas={"depth": 1}), "$.canvas.depth"),
        (whole(canvas={"background": {"kind": "blur", "sigma": 1}}), "$.canvas.background.sigma"),
        (in_track(loop=True), "$.track[0].loop"),
        (in_track(in_=1), "$.track[0].in_"),
        (in_track(gain_db=1), "$.track[0].gain_db"),
        (in_track(transition={"kind": "dissolve", "duration": 1, "color": "#000000"}), "$.track[0].transition.color"),
        (in_layer(title="a"), "$.layers[0].title"),
        (in_layer(style={"shadow": 1}), "$.layers[0].style.shadow"),
        (whole(music=[{"source": "m", "loop": True}]), "$.music[0].loop"),
        (whole(narration=[{"source": "m", "loop": True}]), "$.narration[0].loop"),
        (whole(loudness={"range": 7}), "$.loudness.range"),
    ],
)
def test_unknown_fields_are_refused(document: dict[str, Any], path: str) -> None:
    """Wherever they stand, also by the names that Python has for known ones."""
    assert faults(document) == [f"{path}: there is no such field"]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({"version": "create_video_v1"}, "$.track: is missing"),
        (whole(version="create_video_v2"), "$.version: has to be 'create_video_v1'"),
        (whole(track=[]), "$.track: has to have at least 1 item, not 0"),
        (whole(track={}), "$.track: has to be a list"),
        (whole(track=[3]), "$.track[0]: has to be an object"),
        (whole(track=[{"source": "a"}]), "$.track[0]: has no kind"),
        (whole(track=[{"kind": "clip"}]), "$.track[0].source: is missing"),
        (in_track(source=""), "$.track[0].source: has to have at least 1 character"),
        (in_track(speed=0.2), "$.track[0].speed: has to be greater than or equal to 0.25"),
        (in_track(speed=4.1), "$.track[0].speed: has to be less than or equal to 4"),
        (in_track(gainDb=25), "$.track[0].gainDb: has to be less than or equal to 24"),
        (in_track(hold=-1), "$.track[0].hold: has to be greater than or equal to 0"),
        (in_track(transition={"kind": "wipe"}), "$.track[0].transition: the kind 'wipe' is unknown"),
        (in_track(transition={"kind": "fade", "duration": 0}), "$.track[0].transition.duration: has to be greater"),
        (in_track(crop={"width": 0}), "$.track[0].crop.width: has to be greater than 0"),
        (whole(title="a" * 201), "$.title: has to have at most 200 characters"),
        (whole(canvas={"width": 62}), "$.canvas.width: has to be greater than or equal to 64"),
        (whole(canvas={"width": 101, "height": 100}), "$.canvas.width: has to be a multiple of 2"),
        (whole(canvas={"height": 4098}), "$.canvas.height: has to be less than or equal to 4096"),
        (whole(canvas={"fps": 23}), "$.canvas.fps: has to be greater than or equal to"),
        (whole(canvas={"fps": 60.1}), "$.canvas.fps: has to be less than or equal to 60"),
        (whole(canvas={"preset": "4:3"}), "$.canvas.preset: has to be '1080p', '9:16', '1:1' or '4:5'"),
        (whole(canvas={"background": {"kind": "color", "color": "red"}}), "$.canvas.background.color: has to be a col"),
        (in_layer(text=""), "$.layers[0].text: has to have at least 1 character"),
        (in_layer(text="a" * 2001), "$.layers[0].text: has to have at most 2000 characters"),
        (in_layer(opacity=1.1), "$.layers[0].opacity: has to be less than or equal to 1"),
        (in_layer(style={"size": 0.6}), "$.layers[0].style.size: has to be less than or equal to 0.5"),
        (in_layer(position={"x": -1.1}), "$.layers[0].position.x: has to be greater than or equal to -1"),
        (in_layer(enter={"duration": 0}), "$.layers[0].enter.duration: has to be greater than 0"),
        (whole(layers=[{"kind": "title", "text": "a"}]), "$.layers[0].duration: is missing"),
        (whole(layers=[{"kind": "captions", "format": "ass", "text": "a"}]), "$.layers[0].format: has to be 'srt' or"),
        (whole(music=[{"source": "m", "duckDb": 7}]), "$.music[0].duckDb: has to be 6, 12 or 18"),
        (whole(narration=[{"source": "m"}] * 201), "$.narration: has to have at most 200 items, not 201"),
        (whole(loudness={"target": -8}), "$.loudness.target: has to be less than or equal to -9"),
        (whole(loudness={"truePeak": 1}), "$.loudness.truePeak: has to be less than or equal to 0"),
    ],
)
def test_every_limit_of_a_field(document: dict[str, Any], fault: str) -> None:
    """One fault, at its place, in plain words."""
    (found,) = faults(document)
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (in_track(speed=True), "$.track[0].speed"),
        (in_track(speed="2"), "$.track[0].speed"),
        (in_track(speed=10**400), "$.track[0].speed"),
        (in_track(gainDb="3"), "$.track[0].gainDb"),
        (in_track(mute=1), "$.track[0].mute"),
        (in_track(mute="yes"), "$.track[0].mute"),
        (in_track(hold=True), "$.track[0].hold"),
        (in_track(crop={"x": False}), "$.track[0].crop.x"),
        (in_track(source=5), "$.track[0].source"),
        (whole(canvas={"width": "640", "height": 360}), "$.canvas.width"),
        (whole(canvas={"width": True, "height": 360}), "$.canvas.width"),
        (whole(title=3), "$.title"),
        (whole(music=[{"source": "m", "duckDb": "12"}]), "$.music[0].duckDb"),
        (whole(music=[{"source": "m", "duckDb": True}]), "$.music[0].duckDb"),
        (whole(loudness={"target": "-16"}), "$.loudness.target"),
        (in_layer(style={"weight": "500"}), "$.layers[0].style.weight"),
        (in_layer(style={"italic": 1}), "$.layers[0].style.italic"),
        (in_layer(opacity="1"), "$.layers[0].opacity"),
    ],
)
def test_a_value_of_another_type_is_refused(document: dict[str, Any], path: str) -> None:
    """As the schema says: a text is no number, true is no number, and 1 is not true."""
    assert [fault.path for fault in parse_timeline(document).faults] == [path]
    assert not jsonschema.Draft202012Validator(timeline_schema()).is_valid(document)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_finite_number_is_refused(number: float) -> None:
    """Python's JSON has them; the schema does not know them."""
    for document in (in_track(speed=number), in_track(out=number), in_layer(opacity=number)):
        assert len(parse_timeline(document).faults) == 1


def test_whole_numbers_may_be_written_as_decimals() -> None:
    """For JSON Schema, 640.0 is an integer."""
    document = whole(canvas={"width": 640.0, "height": 360}, layers=[TITLE | {"style": {"weight": 600.0}}])
    parsed = parse_timeline(document)
    assert parsed.faults == ()
    assert parsed.timeline is not None
    assert (parsed.timeline.canvas.width, parsed.timeline.layers[0].style.weight) == (640, 600)  # pyright: ignore
