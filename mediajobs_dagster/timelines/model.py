"""The timeline, format `create_video_v1`: an edit as values.

A timeline has a canvas, one base track of items that follow each other, layers above it, narration and music. All times
are seconds (see `times`). All positions and sizes are shares of the canvas, so that the same timeline fits another
canvas. `docs/timeline.md` describes the format for users; `docs/timeline.schema.json` is made from this module.
"""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from mediajobs_dagster.models import JsonObject, StrictValue
from mediajobs_dagster.timelines.times import Time

VERSION: Final = "create_video_v1"
MAX_SECONDS = Fraction(20 * 60)
MAX_CLIPS = 50
MAX_ITEMS = 200
MAX_TEXT = 2_000
MAX_CAPTIONS = 1 << 20
LONGEST: Final = {
    "track": MAX_CLIPS + 3 * MAX_ITEMS,
    "layers": 7 * MAX_ITEMS,
    "narration": MAX_ITEMS,
    "music": MAX_ITEMS,
}
"""The most items of each list: there are limits for each kind of item."""
FILM = Fraction(2397, 100)
"""The lowest frame rate: 24000/1001, rounded down."""

PRESETS = {"1080p": (1920, 1080), "9:16": (1080, 1920), "1:1": (1080, 1080), "4:5": (1080, 1350)}
"""Width and height, pixels, of the canvases that have a name."""


def _whole(value: object) -> object:
    """An integer that is written as 2.0, which JSON Schema takes for one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Reference = Annotated[str, Field(min_length=1, max_length=1024)]
"""Refers to an upload: by its file name or origin in a document, by its id in a stored timeline."""
Colour = Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}([0-9A-Fa-f]{2})?$", description="#RRGGBB or #RRGGBBAA")]
Share = Annotated[float, Field(ge=0, le=1)]
Gain = Annotated[float, Field(ge=-60, le=24, description="Decibels.")]
Edge = Annotated[int, Field(ge=64, le=4096, multiple_of=2), BeforeValidator(_whole)]
Weight = Annotated[int, Field(ge=100, le=900), BeforeValidator(_whole)]
Moment = Annotated[Time, Field(ge=0)]
Length = Annotated[Time, Field(gt=0)]


# --- canvas ----------------------------------------------------------------------------------------------------------


class ColourBackground(StrictValue):
    """One colour behind everything."""

    kind: Literal["color"] = "color"
    color: Colour = "#000000"


class ImageBackground(StrictValue):
    """An image that fills the canvas behind everything."""

    kind: Literal["image"]
    source: Reference


class BlurBackground(StrictValue):
    """Behind each picture that does not fill the canvas, the same picture: blurred and filling it."""

    kind: Literal["blur"]


Background = Annotated[ColourBackground | ImageBackground | BlurBackground, Field(discriminator="kind")]


class Canvas(StrictValue):
    """Size, rate and background of the export. By default they follow the first clip, long edge 1920 at most."""

    preset: Literal["1080p", "9:16", "1:1", "4:5"] | None = None
    width: Edge | None = None
    height: Edge | None = None
    fps: Annotated[Time, Field(ge=FILM, le=60)] | None = Field(
        default=None,
        description="Frames a second, 23.976 to 60; 23.976, 29.97 and 59.94 stand for 24000/1001 and so on.",
    )
    background: Background = ColourBackground()


# --- base track ------------------------------------------------------------------------------------------------------


class Dissolve(StrictValue):
    """The end of the item before and the beginning of this one are shown over one another."""

    kind: Literal["dissolve"]
    duration: Length


class FadeThrough(StrictValue):
    """In the first half the item before fades to a colour, in the second half this one comes out of it."""

    kind: Literal["fade"]
    duration: Length
    color: Colour = "#000000"


Transition = Annotated[Dissolve | FadeThrough, Field(discriminator="kind")]


class Crop(StrictValue):
    """The part of a picture to use, as shares of the upright picture."""

    x: Share = 0.0
    y: Share = 0.0
    width: Annotated[float, Field(gt=0, le=1)] = 1.0
    height: Annotated[float, Field(gt=0, le=1)] = 1.0


class _TrackItem(StrictValue):
    start: Moment | None = Field(default=None, description="Default: where the item before ends. Later leaves a gap.")
    transition: Transition | None = Field(default=None, description="From the item before into this one; default: cut.")


class _Pictured(_TrackItem):
    source: Reference
    fit: Literal["contain", "cover"] = "contain"
    crop: Crop | None = None


class Clip(_Pictured):
    """A part of a video."""

    kind: Literal["clip"]
    in_: Moment = Field(default=Fraction(0), alias="in")
    out: Moment | None = Field(default=None, description="Default: the end of the longer track of the video.")
    speed: float = Field(default=1.0, ge=0.25, le=4)
    gain_db: Gain = 0.0
    mute: bool = False
    hold: Moment = Field(default=Fraction(0), description="How long the last frame stands still, in silence.")


class Still(_Pictured):
    """One frame of a video, standing still."""

    kind: Literal["still"]
    at: Moment = Fraction(0)
    duration: Length


class Picture(_Pictured):
    """An image."""

    kind: Literal["image"]
    duration: Length


class Gap(_TrackItem):
    """Nothing but the background."""

    kind: Literal["gap"]
    duration: Length


TrackItem = Annotated[Clip | Still | Picture | Gap, Field(discriminator="kind")]


# --- layers ----------------------------------------------------------------------------------------------------------


class Position(StrictValue):
    """Where the middle of a layer lies, as shares of the canvas's width and height."""

    x: Annotated[float, Field(ge=-1, le=2)] = 0.5
    y: Annotated[float, Field(ge=-1, le=2)] = 0.5


class Motion(StrictValue):
    """How a layer comes or goes."""

    kind: Literal["fade", "slide"] = "fade"
    duration: Length = Fraction(35, 100)
    side: Literal["left", "right", "top", "bottom"] = Field(default="left", description="Where a slide comes from.")


class _Layer(StrictValue):
    start: Moment = Fraction(0)
    opacity: Share = 1.0
    enter: Motion | None = None
    exit: Motion | None = None


class Border(StrictValue):
    """A line around a layer, inside its edge."""

    width: float = Field(default=0.004, gt=0, le=0.1, description="Share of the canvas's height.")
    color: Colour = "#FFFFFF"


class VideoLayer(_Layer):
    """A video above the base track: picture in picture. With the default place and scale it lies at the right below."""

    kind: Literal["video"]
    source: Reference
    in_: Moment = Field(default=Fraction(0), alias="in")
    out: Moment | None = Field(default=None, description="Default: the end of its picture.")
    position: Position = Position(x=0.82, y=0.8)
    scale: float = Field(default=0.3, gt=0, le=1, description="Width, as share of the canvas's width.")
    crop: Crop | None = None
    border: Border | None = None
    radius: float = Field(default=0.0, ge=0, le=0.5, description="Of rounded corners, share of the shorter edge.")
    gain_db: Gain = 0.0
    mute: bool = False


class ImageLayer(_Layer):
    """An image above the base track."""

    kind: Literal["image"]
    source: Reference
    duration: Length | None = Field(default=None, description="Default: to the end.")
    position: Position = Position()
    scale: float = Field(default=0.5, gt=0, le=1, description="Width, as share of the canvas's width.")
    border: Border | None = None
    radius: float = Field(default=0.0, ge=0, le=0.5, description="Of rounded corners, share of the shorter edge.")


class Logo(_Layer):
    """A small image in a corner, within the safe area."""

    kind: Literal["logo"]
    source: Reference
    duration: Length | None = Field(default=None, description="Default: to the end.")
    corner: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = "top-right"
    position: Position | None = Field(default=None, description="Of its middle; wins over `corner`.")
    scale: float = Field(default=0.12, gt=0, le=1, description="Width, as share of the canvas's width.")


class Outline(StrictValue):
    """A line around letters."""

    width: float = Field(default=0.08, gt=0, le=0.5, description="Share of the letters' size.")
    color: Colour = "#000000"


class Box(StrictValue):
    """A box behind letters."""

    color: Colour = "#000000B0"
    padding: float = Field(default=0.4, ge=0, le=4, description="Share of the letters' size.")
    radius: float = Field(default=0.2, ge=0, le=4, description="Of rounded corners, share of the letters' size.")


class TextStyle(StrictValue):
    """What letters look like."""

    font: str = Field(default="Noto Sans", max_length=100, description="Family; scripts it lacks come from Noto.")
    weight: Weight = Field(default=500, description="Noto Sans has 400 to 700.")
    italic: bool = False
    size: float = Field(default=0.07, ge=0.01, le=0.5, description="Of a line's letters, share of the canvas's height.")
    color: Colour = "#FFFFFF"
    outline: Outline | None = None
    box: Box | None = None
    align: Literal["left", "center", "right"] = "center"


class Title(_Layer):
    """Text. It is broken into lines so that it stays within the safe area."""

    kind: Literal["title"]
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
    duration: Length
    style: TextStyle = TextStyle()
    place: Literal["top", "middle", "bottom"] = "middle"
    position: Position | None = Field(default=None, description="Of the text's middle; wins over `place`.")
    safe_area: Annotated[float, Field(gt=0.2, le=1)] = 0.9


class LowerThird(_Layer):
    """Who is speaking: a name and, below it, what they do, in a box at the left or the right below."""

    kind: Literal["lower_third"]
    name: Annotated[str, Field(min_length=1, max_length=200)]
    role: Annotated[str, Field(max_length=200)] = ""
    duration: Length
    side: Literal["left", "right"] = "left"
    position: Position | None = Field(default=None, description="Of its middle; wins over `side`.")
    style: TextStyle = TextStyle(size=0.045, box=Box(), align="left")


class Captions(_Layer):
    """The lines of a SubRip or WebVTT file, each at its time after `start`; lines at the same time stand in a stack.

    The first of them enters, and the last one exits.
    """

    kind: Literal["captions"]
    format: Literal["srt", "vtt"]
    text: Annotated[str, Field(min_length=1, max_length=MAX_CAPTIONS, description="The file's content.")]
    style: TextStyle = TextStyle(size=0.045, outline=Outline())
    place: Literal["top", "middle", "bottom"] = "bottom"
    position: Position | None = Field(default=None, description="Of the captions' middle; wins over `place`.")
    safe_area: Annotated[float, Field(gt=0.2, le=1)] = 0.9


class Visualiser(_Layer):
    """The sound of a narration, drawn as it plays."""

    kind: Literal["visualiser"]
    narration: Annotated[str, Field(min_length=1, max_length=100, description="Id of the narration.")]
    style: Literal["waveform", "spectrum"] = "waveform"
    color: Colour = "#FFFFFF"
    position: Position = Position(x=0.5, y=0.85)
    scale: float = Field(default=0.6, gt=0, le=1, description="Width, as share of the canvas's width.")
    height: float = Field(default=0.15, gt=0, le=1, description="Share of the canvas's height.")


Layer = Annotated[
    VideoLayer | ImageLayer | Logo | Title | LowerThird | Captions | Visualiser, Field(discriminator="kind")
]


class Spoken(StrictValue):
    """What is said in an upload, as captions: each word while the track, a video layer or a narration plays it."""

    transcript: Annotated[Reference, Field(description="The upload; its transcript has to be made before.")]
    style: TextStyle = TextStyle(size=0.045, outline=Outline())
    place: Literal["top", "middle", "bottom"] = "bottom"
    position: Position | None = Field(default=None, description="Of the captions' middle; wins over `place`.")
    safe_area: Annotated[float, Field(gt=0.2, le=1)] = 0.9


# --- sound -----------------------------------------------------------------------------------------------------------

_FADE = Fraction(35, 100)


class Narration(StrictValue):
    """A voice over the picture."""

    id: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    source: Reference
    start: Moment = Fraction(0)
    in_: Moment = Field(default=Fraction(0), alias="in")
    out: Moment | None = Field(default=None, description="Default: the end of the sound.")
    gain_db: Gain = 0.0
    fade_in: Moment = Fraction(0)
    fade_out: Moment = Fraction(0)


class Music(StrictValue):
    """Music for a while, over and over if it is shorter.

    `replace`: nothing else is heard. `mix`: with everything else. `duck`: by `duck_db` softer while somebody speaks
    (side-chain compression). `opener`: fades out where the speech begins.
    """

    source: Reference
    start: Moment = Fraction(0)
    duration: Length | None = Field(default=None, description="Default: to the end.")
    in_: Moment = Field(default=Fraction(0), alias="in")
    mode: Literal["replace", "mix", "duck", "opener"] = "duck"
    duck_db: Literal[6, 12, 18] = 12
    gain_db: Gain = -6.0
    fade_in: Moment = _FADE
    fade_out: Moment = _FADE


class Loudness(StrictValue):
    """What the whole mix is brought to, by EBU R 128: measured first, then one gain for all, and a limiter."""

    target: float = Field(default=-16.0, ge=-31, le=-9, description="Integrated loudness, LUFS.")
    true_peak: float = Field(default=-1.5, ge=-9, le=0, description="Highest true peak, dBTP.")


# --- the whole -------------------------------------------------------------------------------------------------------


class Timeline(StrictValue):
    """One edit, to be rendered into one video."""

    version: Literal["create_video_v1"]
    title: str = Field(default="", max_length=200, description="For people; it does not change the video.")
    canvas: Canvas = Canvas()
    track: Annotated[tuple[TrackItem, ...], Field(min_length=1, strict=False, max_length=LONGEST["track"])]
    layers: Annotated[tuple[Layer, ...], Field(strict=False, max_length=LONGEST["layers"])] = ()
    captions: Spoken | None = Field(default=None, description="From a transcript, above all layers.")
    narration: Annotated[tuple[Narration, ...], Field(strict=False, max_length=LONGEST["narration"])] = ()
    music: Annotated[tuple[Music, ...], Field(strict=False, max_length=LONGEST["music"])] = ()
    loudness: Loudness | None = Field(default=Loudness(), description="null: the mix stays as loud as it is.")


def timeline_schema() -> JsonObject:
    """The JSON Schema of `create_video_v1`."""
    schema = Timeline.model_json_schema(by_alias=True)
    del schema["title"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"mediajobs timeline, {VERSION}",
        **schema,
    }


if __name__ == "__main__":
    # python -m mediajobs_dagster.timelines.model > docs/timeline.schema.json
    sys.stdout.write(json.dumps(timeline_schema(), indent=2, ensure_ascii=False) + "\n")
