"""Timelines of other programs: read into ours, and ours written so that they come back."""

from __future__ import annotations

import contextlib
import json
import random
import re
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import opentimelineio as otio
import pytest
from opentimelineio import schema

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.models import AudioStream, MediaInfo, Upload, VideoStream
from mediajobs_dagster.timelines.documents import read_document
from mediajobs_dagster.timelines.file_contents import MAX_BYTES
from mediajobs_dagster.timelines.layout import Media, item_times
from mediajobs_dagster.timelines.model import (
    Clip,
    Dissolve,
    FadeThrough,
    Gap,
    ImageLayer,
    Picture,
    Still,
    Timeline,
    VideoLayer,
)
from mediajobs_dagster.timelines.otio import Imported, read_otio, write_otio
from mediajobs_dagster.timelines.otio.conforming import Library
from mediajobs_dagster.timelines.otio.notes import Notes
from mediajobs_dagster.timelines.resolving import Unresolved
from tests.cpu import cpu_seconds
from tests.history.factories import an_upload

NTSC = Fraction(30_000, 1001)
FILM = Fraction(24_000, 1001)
MINUTE = MediaInfo(
    container="mp4",
    duration_seconds=60,
    bytes=1,
    video=(VideoStream(index=0, codec="h264", width=1920, height=1080, fps=25),),
    audio=(AudioStream(index=1, codec="aac", channels=2, sample_rate=48_000),),
)


# --- building --------------------------------------------------------------------------------------------------------


def at(frames: float, rate: float = 25) -> Any:
    return otio.opentime.RationalTime(frames, rate)


def span(start: float, length: float, rate: float = 25) -> Any:
    return otio.opentime.TimeRange(at(start, rate), at(length, rate))


def clip(
    name: str, start: float, length: float, *effects: Any, rate: float = 25, media: Any = None, **options: Any
) -> Any:
    """A clip of `name`.mp4, which is not on this machine and of which a thousand frames are known."""
    media = media or schema.ExternalReference(f"{name}.mp4", span(0, 1000, rate))
    made = schema.Clip(name, media, span(start, length, rate), **options)
    made.effects.extend(effects)
    return made


def nested(depth: int) -> Any:
    """A clip in a stack in a stack."""
    child = clip("a", 0, 25)
    for _ in range(depth):
        child = schema.Stack("nest", [child])
    return child


def gap(length: float) -> Any:
    return schema.Gap(source_range=span(0, length))


def dissolve(before: float, after: float, kind: str = "SMPTE_Dissolve") -> Any:
    return schema.Transition("over", kind, at(before), at(after))


def video(*children: Any, name: str = "V", **options: Any) -> Any:
    return schema.Track(name, children, kind="Video", **options)


def audio(*children: Any, **options: Any) -> Any:
    return schema.Track("A", children, kind="Audio", **options)


def edit(*tracks: Any) -> Any:
    made = schema.Timeline("Edit")
    made.tracks.extend(tracks)
    return made


def read(folder: Path, *tracks: Any) -> Imported:
    """What is read of a file with these tracks."""
    otio.adapters.write_to_file(edit(*tracks), str(folder / "edit.otio"))
    return read_otio(folder / "edit.otio")


def length_of(timeline: Timeline) -> Fraction:
    """How long the base track is, as the planner has it."""
    media: Media = {item.source: MINUTE for item in timeline.track if not isinstance(item, Gap)}
    *_, last = item_times(timeline, media)
    return last.start + last.length


def clips_of(imported: Imported) -> list[Clip]:
    return [item for item in imported.timeline.track if isinstance(item, Clip)]


def noted(imported: Imported, *said: str) -> bool:
    """Whether one note says all of it."""
    return any(all(each in note for each in said) for note in imported.notes)


# --- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "exact"), [(23.976, FILM), (24_000 / 1001, FILM), (29.97, NTSC), (25, Fraction(25)), (59.94, 2 * NTSC)]
)
def test_times_are_exact(tmp_path: Path, rate: float, exact: Fraction) -> None:
    """Frames of the true rate, counted from the file's start, at which its time code is not zero."""
    media = schema.ExternalReference("a.mp4", span(86_400, 5_000, rate))
    imported = read(tmp_path, video(clip("a", 86_400 + 101, 203, rate=rate, media=media)))
    [only] = clips_of(imported)
    assert (only.in_, only.out) == (101 / exact, 304 / exact)
    assert imported.timeline.canvas.fps == exact
    assert not noted(imported, "23.976 to 60")
    assert Timeline.model_validate_json(imported.timeline.model_dump_json(by_alias=True)) == imported.timeline


def test_a_rate_that_no_export_has_is_noted(tmp_path: Path) -> None:
    """The rate follows from the first clip then."""
    imported = read(tmp_path, video(clip("a", 0, 120, rate=120)))
    assert imported.timeline.canvas.fps is None
    assert noted(imported, "23.976 to 60", "120")


def test_seconds_that_are_no_float_are_exact(tmp_path: Path) -> None:
    """A third of a second, written as a float at a rate of 1."""
    [only] = clips_of(read(tmp_path, video(clip("a", 1 / 3, 1001 / 30, rate=1))))
    assert (only.in_, only.out) == (Fraction(1, 3), Fraction(1, 3) + Fraction(1001, 30))


def test_time_codes_of_unknown_media_are_noted(tmp_path: Path) -> None:
    media = schema.ExternalReference("a.mp4")
    imported = read(tmp_path, video(clip("a", 90_000, 25, media=media), clip("b", 10, 25)))
    assert clips_of(imported)[0].in_ == 3600
    assert noted(imported, "“a”", "time code")
    early = schema.ExternalReference("a.mp4", span(90_000, 100))
    imported = read(tmp_path, video(clip("a", 50, 25, media=early)))
    assert clips_of(imported)[0].in_ == 2
    assert noted(imported, "“a”", "before its media")


def test_clips_without_a_range_show_all_of_their_media(tmp_path: Path) -> None:
    known = schema.Clip("a", schema.ExternalReference("a.mp4", span(250, 100)))
    unknown = schema.Clip("b", schema.ExternalReference("b.mp4"))
    imported = read(tmp_path, video(known, unknown))
    first, second = clips_of(imported)
    assert (first.in_, first.out) == (0, 4)
    assert (second.in_, second.out) == (0, None)
    assert noted(imported, "“b”", "all of it")


def test_gaps_and_what_is_disabled_keep_their_time(tmp_path: Path) -> None:
    disabled = clip("b", 0, 75)
    disabled.enabled = False
    hidden = video(clip("d", 0, 25), name="Hidden")
    hidden.enabled = False
    imported = read(tmp_path, video(gap(50), clip("a", 0, 25), disabled, clip("c", 0, 25), clip("e", 0, 0)), hidden)
    first, _, third, _ = imported.timeline.track
    assert isinstance(first, Gap)
    assert isinstance(third, Gap)
    assert (first.duration, third.duration) == (2, 3)
    assert noted(imported, "“b”", "disabled")
    assert noted(imported, "“Hidden”", "disabled")
    assert noted(imported, "“e”", "has no length")
    assert imported.timeline.layers == ()
    assert length_of(imported.timeline) == 7


def test_a_clip_longer_than_its_media_holds_its_last_frame(tmp_path: Path) -> None:
    imported = read(tmp_path, video(clip("a", 950, 100), clip("b", 2000, 25)))
    first, second = imported.timeline.track
    assert isinstance(first, Clip)
    assert isinstance(second, Gap)
    assert (first.in_, first.out, first.hold) == (38, 40, 2)
    assert noted(imported, "“a”", "2 s after the end")
    assert noted(imported, "“b”", "after the end of its media")


# --- transitions -----------------------------------------------------------------------------------------------------


def test_a_dissolve_keeps_the_length(tmp_path: Path) -> None:
    """Each side is shown for longer by what it reaches beyond the cut; with speed, that is more of the media."""
    fast = clip("b", 100, 75, schema.LinearTimeWarp(time_scalar=2))
    track = video(clip("a", 0, 50), dissolve(5, 10), fast, dissolve(0, 20), clip("c", 0, 50))
    imported = read(tmp_path, track)
    first, second, third = clips_of(imported)
    assert first.transition is None
    assert (first.in_, first.out) == (0, Fraction(60, 25))
    assert second.transition == Dissolve(kind="dissolve", duration=Fraction(15, 25))
    assert (second.in_, second.out) == (Fraction(90, 25), Fraction(100 + 150 + 40, 25))
    assert third.transition == Dissolve(kind="dissolve", duration=Fraction(20, 25))
    assert (third.in_, third.out) == (0, 2)
    assert length_of(imported.timeline) == Fraction(175, 25)


def test_a_dissolve_is_as_long_as_its_media_reaches(tmp_path: Path) -> None:
    """Less of it where a side ends; a cut where both do; the length stays."""
    imported = read(tmp_path, video(clip("a", 0, 50), dissolve(10, 10), clip("b", 4, 50)))
    assert clips_of(imported)[1].transition == Dissolve(kind="dissolve", duration=Fraction(14, 25))
    assert clips_of(imported)[1].in_ == 0
    assert noted(imported, "“over” of 0.8 s", "shortened to 0.56", "“a”", "“b”")
    assert length_of(imported.timeline) == 4

    imported = read(tmp_path, video(clip("a", 950, 50), dissolve(10, 10), clip("b", 0, 50)))
    assert clips_of(imported)[1].transition is None
    assert noted(imported, "“over”", "is a cut instead")
    assert length_of(imported.timeline) == 4


def test_transitions_never_meet_within_a_clip(tmp_path: Path) -> None:
    imported = read(
        tmp_path,
        video(clip("a", 50, 50), dissolve(0, 40), clip("b", 50, 50), dissolve(40, 0), clip("c", 50, 50)),
    )
    transitions = [item.transition and item.transition.duration for item in imported.timeline.track]
    assert transitions == [None, Fraction(40, 25), Fraction(10, 25)]
    assert length_of(imported.timeline) == 6


def test_a_dissolve_at_an_end_fades_the_picture(tmp_path: Path) -> None:
    """Out of nothing at the start, into nothing at the end or at a gap."""
    imported = read(tmp_path, video(dissolve(0, 25), clip("a", 50, 100), dissolve(25, 0)))
    opening, shown, closing = imported.timeline.track
    assert isinstance(opening, Gap)
    assert isinstance(closing, Gap)
    assert (opening.duration, closing.duration) == (1, 1)
    assert shown.transition == closing.transition == Dissolve(kind="dissolve", duration=Fraction(1))
    assert length_of(imported.timeline) == 4

    imported = read(tmp_path, video(clip("a", 50, 100), dissolve(10, 15), gap(50), clip("b", 0, 25)))
    empty = imported.timeline.track[1]
    assert isinstance(empty, Gap)
    assert empty.duration == Fraction(60, 25)
    assert empty.transition == Dissolve(kind="dissolve", duration=Fraction(1))
    assert length_of(imported.timeline) == 7


def test_an_unknown_transition_is_a_cut(tmp_path: Path) -> None:
    imported = read(tmp_path, video(clip("a", 0, 50), dissolve(5, 5, "SMPTE_Wipe"), clip("b", 50, 50)))
    assert [item.transition for item in imported.timeline.track] == [None, None]
    assert noted(imported, "“over”", "SMPTE_Wipe")


# --- speed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "speed", "said"),
    [(2, 2, None), (0.25, 0.25, None), (1 / 3, 0.333333, None), (8, 4, "8 times"), (0.1, 0.25, "0.1 times")],
)
def test_speed_keeps_the_place_on_the_track(tmp_path: Path, scale: float, speed: float, said: str | None) -> None:
    imported = read(tmp_path, video(clip("a", 100, 50, schema.LinearTimeWarp(time_scalar=scale)), clip("b", 0, 50)))
    first, _ = clips_of(imported)
    assert (first.in_, first.speed) == (4, speed)
    assert noted(imported, "“a”", said or "times its speed") == (said is not None)
    assert length_of(imported.timeline) == 4


def test_what_plays_backwards_plays_forwards(tmp_path: Path) -> None:
    imported = read(tmp_path, video(clip("a", 100, 50, schema.LinearTimeWarp(time_scalar=-1))))
    assert (clips_of(imported)[0].in_, clips_of(imported)[0].out, clips_of(imported)[0].speed) == (4, 6, 1)
    assert noted(imported, "“a”", "backwards")


def test_a_frozen_frame_is_a_still(tmp_path: Path) -> None:
    """With a dissolve on either side it stands for longer."""
    frozen = clip("a", 100, 50, schema.FreezeFrame())
    imported = read(tmp_path, video(clip("b", 0, 50), dissolve(5, 5), frozen, dissolve(5, 5), clip("c", 50, 50)))
    still = imported.timeline.track[1]
    assert isinstance(still, Still)
    assert (still.source, still.at, still.duration) == ("a.mp4", 4, Fraction(60, 25))
    assert length_of(imported.timeline) == 6


def test_images_are_pictures(tmp_path: Path) -> None:
    slide = clip("slide", 0, 50, media=schema.ExternalReference("slide.PNG"))
    imported = read(tmp_path, video(slide), video(gap(25), slide.deepcopy()))
    [picture, _], [layer] = imported.timeline.track, imported.timeline.layers
    assert isinstance(picture, Picture)
    assert isinstance(layer, ImageLayer)
    assert (picture.source, picture.duration) == ("slide.PNG", 2)
    assert (layer.start, layer.duration, layer.scale) == (1, 2, 1)


# --- sound -----------------------------------------------------------------------------------------------------------


def test_without_audio_tracks_all_is_heard(tmp_path: Path) -> None:
    assert not any(item.mute for item in clips_of(read(tmp_path, video(clip("a", 0, 50), clip("b", 0, 50)))))


def test_a_clips_own_sound_is_not_doubled(tmp_path: Path) -> None:
    """The same part at the same time is the clip's own, on however many tracks; a clip without is silent."""
    own = [audio(gap(50), clip("b", 100, 50), dissolve(1, 1), clip("c", 0, 50)) for _ in range(2)]
    imported = read(tmp_path, video(clip("a", 0, 50), clip("b", 100, 50), dissolve(5, 5), clip("c", 0, 50)), *own)
    assert [item.mute for item in clips_of(imported)] == [True, False, False]
    assert imported.timeline.narration == ()
    assert not noted(imported, "fades")


def test_sound_of_its_own_is_narration(tmp_path: Path) -> None:
    """Of other media; of a clip, but beginning earlier; with the fades that it has. Once, however many channels."""
    tracks = [
        audio(gap(75), clip("b", 75, 75)),
        audio(dissolve(0, 10), clip("voice", 50, 100), dissolve(5, 5), gap(50)),
        audio(clip("voice", 50, 100)),
    ]
    imported = read(tmp_path, video(clip("a", 0, 100), clip("b", 100, 50)), *tracks)
    assert [item.mute for item in clips_of(imported)] == [True, True]
    early, voice = imported.timeline.narration
    assert (early.source, early.start, early.in_, early.out) == ("b.mp4", 3, 3, 6)
    assert (voice.source, voice.start, voice.in_, voice.out) == ("voice.mp4", 0, 2, Fraction(155, 25))
    assert (voice.fade_in, voice.fade_out) == (Fraction(10, 25), Fraction(10, 25))


def test_what_sound_cannot_do_is_noted(tmp_path: Path) -> None:
    fast = clip("voice", 0, 50, schema.LinearTimeWarp(time_scalar=2))
    own = audio(clip("a", 0, 50), dissolve(5, 0), gap(1), fast)
    imported = read(tmp_path, video(clip("a", 0, 50)), own)
    assert noted(imported, "“a”", "fades are left out")
    assert noted(imported, "“voice”", "normal speed")


def test_what_goes_on_after_the_last_picture_is_seen_and_heard(tmp_path: Path) -> None:
    """Over a gap, if it is more than a rest of rounding."""
    voice = audio(clip("voice", 0, 80))
    imported = read(tmp_path, video(clip("a", 0, 50)), video(gap(40), clip("b", 0, 60)), voice)
    assert [item.kind for item in imported.timeline.track] == ["clip", "gap"]
    assert length_of(imported.timeline) == 4
    assert length_of(read(tmp_path, video(clip("a", 0, 50)), voice).timeline) == Fraction(80, 25)
    assert length_of(read(tmp_path, video(clip("a", 0, 50)), audio(clip("voice", 0, 50.9))).timeline) == 2


# --- layers ----------------------------------------------------------------------------------------------------------


def test_further_video_tracks_are_layers(tmp_path: Path) -> None:
    """They fill the canvas; a transition fades them in and out, and one over the other; they have their sound."""
    above = video(gap(50), dissolve(10, 15), clip("b", 50, 50), dissolve(5, 5), clip("c", 50, 50), dissolve(10, 0))
    imported = read(tmp_path, video(clip("a", 0, 250)), above, audio(gap(50), clip("b", 50, 50)))
    first, second = imported.timeline.layers
    assert isinstance(first, VideoLayer)
    assert isinstance(second, VideoLayer)
    assert (first.start, first.in_, first.out) == (Fraction(40, 25), Fraction(40, 25), Fraction(105, 25))
    assert (second.start, second.in_, second.out) == (Fraction(95, 25), Fraction(45, 25), 4)
    assert first.enter is not None
    assert first.enter.duration == 1
    assert first.exit is None
    assert second.enter is not None
    assert second.exit is not None
    assert (second.enter.duration, second.exit.duration) == (Fraction(10, 25), Fraction(10, 25))
    assert (first.scale, first.position.x, first.position.y) == (1, 0.5, 0.5)
    assert [clips_of(imported)[0].mute, first.mute, second.mute] == [True, False, True]


def test_what_a_layer_cannot_do_is_noted(tmp_path: Path) -> None:
    above = video(clip("b", 0, 50, schema.LinearTimeWarp(time_scalar=2)), clip("c", 0, 50, schema.FreezeFrame()))
    imported = read(tmp_path, video(clip("a", 0, 250)), above)
    [layer] = imported.timeline.layers
    assert isinstance(layer, VideoLayer)
    assert layer.out == 2
    assert noted(imported, "“b”", "normal speed")
    assert noted(imported, "“c”", "stands still")


# --- what we have no word for ----------------------------------------------------------------------------------------


def test_all_that_is_left_out_is_noted(tmp_path: Path) -> None:
    """By the name of what it is on; and what cannot be shown leaves its place empty."""
    marked = clip("a", 0, 25, schema.Effect("x", "Blur"))
    marked.markers.append(schema.Marker("look"))
    bars = clip("bars", 0, 25, media=schema.GeneratorReference("g", "SMPTEBars"))
    frames = clip("frames", 0, 25, media=schema.ImageSequenceReference("file:///x/", "f.", ".exr"))
    missing = clip("b", 0, 25, media=schema.MissingReference())
    unnamed = clip("", 0, 25, media=schema.MissingReference())
    made = edit(video(marked, bars, frames, missing, unnamed), schema.Track("data", kind="Other"))
    made.tracks.markers.append(schema.Marker("end"))
    made.tracks.effects.append(schema.Effect("y"))
    otio.adapters.write_to_file(made, str(tmp_path / "edit.otio"))
    imported = read_otio(tmp_path / "edit.otio")
    assert [item.kind for item in imported.timeline.track] == ["clip", "gap", "gap", "clip", "gap"]
    assert clips_of(imported)[1].source == "b"
    for said in (
        ("“Blur”", "“a”"),
        ("“look”", "“a”"),
        ("“bars”", "SMPTEBars"),
        ("“frames”", "ImageSequence"),
        ("“b”", "no media"),
        ("without a name", "no media"),
        ("“data”", "neither"),
        ("“end”", "“Edit”"),
        ("“y”", "“Edit”"),
    ):
        assert noted(imported, *said), said
    assert len(set(imported.notes)) == len(imported.notes)


def test_what_is_nested_is_flattened(tmp_path: Path) -> None:
    """Its topmost clips are shown, cut to the part that is used; its audio tracks make its sound."""

    def nest() -> Any:
        lower = video(clip("low", 0, 100))
        upper = video(gap(25), clip("high", 0, 25))
        return schema.Stack("nest", [lower, upper, audio(clip("talk", 0, 100))], source_range=span(10, 60))

    imported = read(tmp_path, video(clip("a", 0, 50), nest(), clip("b", 0, 50)), audio(gap(50), nest()))
    shown = [(item.source, item.in_, item.out) for item in clips_of(imported)]
    assert shown == [
        ("a.mp4", 0, 2),
        ("low.mp4", Fraction(10, 25), 1),
        ("high.mp4", 0, 1),
        ("low.mp4", 2, Fraction(70, 25)),
        ("b.mp4", 0, 2),
    ]
    [voice] = imported.timeline.narration
    assert (voice.source, voice.start, voice.in_, voice.out) == ("talk.mp4", 2, Fraction(10, 25), Fraction(70, 25))
    assert noted(imported, "“nest”", "nested")
    assert length_of(imported.timeline) == Fraction(160, 25)


def test_clips_and_tracks_in_a_stack_are_flattened(tmp_path: Path) -> None:
    stack = schema.Stack("pile", [clip("low", 0, 50), clip("high", 0, 50)])
    imported = read(tmp_path, video(stack, video(clip("inner", 0, 25)), schema.Stack("none"), clip("b", 0, 25)))
    assert [item.source for item in clips_of(imported)] == ["high.mp4", "inner.mp4", "b.mp4"]


def test_a_nest_cut_within_a_transition_leaves_its_place_empty(tmp_path: Path) -> None:
    inner = video(clip("x", 0, 50), dissolve(5, 5), clip("y", 50, 50))
    nest = schema.Stack("nest", [inner], source_range=span(48, 40))
    imported = read(tmp_path, video(clip("a", 0, 50), nest, clip("b", 0, 50)))
    assert [item.kind for item in imported.timeline.track] == ["clip", "gap", "clip"]
    assert noted(imported, "“nest”", "cannot be cut")
    assert length_of(imported.timeline) == Fraction(140, 25)


def test_a_track_is_cut_to_the_part_that_is_used(tmp_path: Path) -> None:
    imported = read(tmp_path, video(clip("a", 0, 50), clip("b", 0, 50), source_range=span(30, 40)))
    assert [(item.in_, item.out) for item in clips_of(imported)] == [(Fraction(30, 25), 2), (0, Fraction(20, 25))]


# --- references ------------------------------------------------------------------------------------------------------


def test_media_is_named_by_where_it_lies(tmp_path: Path) -> None:
    """By its path if that can be reached, however it is written; else by its file name, which is noted."""
    folder = tmp_path.resolve() / "my media"
    folder.mkdir()
    lying = folder / "a #1.mp4"
    lying.touch()
    urls = {
        lying.as_uri(): str(lying),
        str(lying): str(lying),
        "my media/a #1.mp4": str(lying),
        "my%20media/a%20%231.mp4": str(lying),
        f"file://localhost{lying.as_uri().removeprefix('file://')}": str(lying),
        "file:///Volumes/Card/b%20c.mp4": "b c.mp4",
        "D:\\Clips\\d.mp4": "d.mp4",
        "file:///D:/Clips/d.mp4": "d.mp4",
        "media/e.mp4": "e.mp4",
        "s3://bucket/f.mp4": "s3://bucket/f.mp4",
        "s3://[bucket": "s3://[bucket",
        "file:///a%00b.mp4": "a\0b.mp4",
        "https://example.com/g.mp4": "https://example.com/g.mp4",
    }
    imported = read(tmp_path, video(*(clip("x", 0, 25, media=schema.ExternalReference(url)) for url in urls)))
    assert [item.source for item in clips_of(imported)] == list(urls.values())
    assert noted(imported, "/Volumes/Card/b c.mp4", "not on this machine")
    assert not noted(imported, "a #1.mp4")


def test_our_metadata_names_media_that_has_no_address(tmp_path: Path) -> None:
    ours = {"mediajobs": {"upload": "an-id"}}
    clips = [
        clip("a", 0, 25, media=schema.MissingReference(), metadata=ours),
        clip("b", 0, 25, metadata=ours),
        clip("c", 0, 25, media=schema.MissingReference("reel 7")),
    ]
    assert [item.source for item in clips_of(read(tmp_path, video(*clips)))] == ["an-id", "b.mp4", "reel 7"]


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("edit.xyz", "", r"\.xyz; there are some for .*\.edl, \.otio"),
        ("edit", "", "without a suffix"),
        ("edit.otio", "", "broken"),
        ("edit.otio", "{", "broken"),
        ("edit.otio", "[1]", "no timeline"),
        ("edit.otio", '{"OTIO_SCHEMA": "Nothing.1"}', "no timeline"),
        ("edit.otio", '{"OTIO_SCHEMA": "Timeline.1", "tracks": 5}', "edit.otio is broken.*line 1 holds"),
        ("edit.otio", '{"OTIO_SCHEMA": "Timeline.99"}', "newer version of OpenTimelineIO"),
        ("edit.otioz", "not an archive", "broken"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(RequestError, match=said):
        read_otio(tmp_path / name)


def bundled(folder: Path, name: str, content: bytes) -> Path:
    """A timeline's JSON in a file of that name: as it is, or in a bundle."""
    path = folder / name
    if path.suffix == ".otioz":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("content.otio", content)
    elif path.suffix == ".otiod":
        path.mkdir()
        (path / "content.otio").write_bytes(content)
    else:
        path.write_bytes(content)
    return path


def nest(kind: str, levels: int) -> bytes:
    """A timeline whose metadata are nested so deep."""
    stack = '{"OTIO_SCHEMA": "Stack.1", "children": ['
    opening, closing = {"lists": ("[", "]"), "objects": ('{"a":', "}"), "stacks": (stack, "]}")}[kind]
    inside = opening * levels + "1" * (kind == "objects") + closing * levels
    return f'{{"OTIO_SCHEMA": "Timeline.1", "tracks": null, "metadata": {inside}}}'.encode()


@pytest.mark.parametrize("name", ["edit.otio", "edit.otioz", "edit.otiod"])
@pytest.mark.parametrize("kind", ["lists", "objects", "stacks"])
def test_what_is_nested_without_end_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    """The library's parser would end the process on it; hence a process of its own."""
    path = bundled(tmp_path, name, nest(kind, 90_000))
    code = "import sys, pathlib, mediajobs_dagster.timelines.documents as d; d.read_document(pathlib.Path(sys.argv[1]))"
    ended = subprocess.run([sys.executable, "-c", code, path], check=False, capture_output=True, text=True)
    assert ended.returncode == 1, ended.returncode
    assert f"RequestError: {path}" in ended.stderr
    assert "is broken: it is nested too deeply" in ended.stderr


def test_what_is_nested_deeper_than_any_edit_is_refused(tmp_path: Path) -> None:
    """Although Python's own reader still takes it."""
    with pytest.raises(RequestError, match="nested too deeply"):
        read_document(bundled(tmp_path, "edit.otio", nest("lists", 250)))


@pytest.mark.parametrize("name", ["edit.otio", "edit.otioz", "edit.otiod", "edit.edl", "edit.json"])
def test_what_is_too_long_is_refused(tmp_path: Path, name: str) -> None:
    path = bundled(tmp_path, name, b" " * (MAX_BYTES + 1))
    with pytest.raises(RequestError, match="more than 4 MiB"):
        read_document(path)


@pytest.mark.parametrize("name", ["edit.otio", "edit.otioz", "edit.otiod"])
def test_bundles_are_read_as_what_is_in_them(tmp_path: Path, name: str) -> None:
    content = otio.adapters.write_to_string(edit(video(clip("a", 0, 25))), "otio_json")
    assert [item.source for item in clips_of(read_otio(bundled(tmp_path, name, content.encode())))] == ["a.mp4"]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for name in ("none.otio", "none.edl"):
        with pytest.raises(RequestError, match="cannot be read: No such file"):
            read_otio(tmp_path / name)


@pytest.mark.parametrize(
    "tracks",
    [
        [],
        [audio(clip("a", 0, 25))],
        [video()],
        [video(clip("a", float("nan"), 25))],
        [video(clip("a", 0, 25, rate=1e-9))],
        [video(clip("a", 0, 0), gap(0))],
        [video(clip("a", 0, -25))],
        [video(clip("a", 0, float("inf")))],
        [video(clip("a", 0, 25, rate=float("nan")))],
        [video(clip("a", 0, 25, rate=float("inf")))],
        [video(clip("a", 0, 25, rate=-25))],
        [video(clip("a", 0, 25, rate=0))],
        [video(clip("a", 0, 25, rate=1e300))],
        [video(clip("a", 1e300, 25))],
        [video(nested(30))],
        [video(clip("x" * 1100, 0, 25))],
        [video(clip("a", 0, 25)), video(clip("x" * 1100, 0, 25))],
        [video(clip("a", 0, 25)), audio(clip("x" * 1100, 0, 25))],
        [video(*(clip("a", 0, 25) for _ in range(2000)))],
    ],
)
def test_what_makes_no_timeline_is_refused(tmp_path: Path, tracks: Sequence[Any]) -> None:
    with pytest.raises(RequestError):
        read(tmp_path, *(track.deepcopy() for track in tracks))


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), 0.0, -25.0, 1e300])
def test_a_timeline_that_starts_at_no_rate_is_refused(tmp_path: Path, rate: float) -> None:
    """What is no number is no rate either."""
    made = edit(video(clip("a", 0, 25)))
    made.global_start_time = at(0, rate)
    otio.adapters.write_to_file(made, str(tmp_path / "edit.otio"))
    with pytest.raises(RequestError, match="are not a time"):
        read_otio(tmp_path / "edit.otio")


_NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")
_ODD_NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "0.0",
    "-1.0",
    "1e308",
    "1e-308",
    "-0.0",
    "9" * 400,
    "null",
    '"x"',
    "true",
)


@pytest.mark.parametrize("seed", range(40))
def test_a_timeline_with_odd_values_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    """Ten damaged copies of a timeline with everything in it: no other exception comes out, and none takes long."""
    dice = random.Random(seed)
    made = edit(
        video(clip("a", 0, 50, schema.LinearTimeWarp("slow", 0.5)), dissolve(5, 5), clip("b", 10, 50), gap(5)),
        video(nested(3), clip("c", 0, 25, schema.FreezeFrame("stop"))),
        audio(clip("a", 0, 50), clip("d", 0, 50)),
    )
    made.global_start_time = at(90_000)
    text = otio.adapters.write_to_string(made, "otio_json")
    for _ in range(10):
        damaged = _NUMBER.sub(lambda number: dice.choice(_ODD_NUMBERS) if dice.random() < 0.1 else number[0], text)
        if dice.random() < 0.3:
            damaged = damaged.replace('"name": "', dice.choice(('"name": null, "x": "', '"name": 3, "x": "')), 2)
        (tmp_path / "edit.otio").write_text(damaged)
        with contextlib.suppress(RequestError):
            read_otio(tmp_path / "edit.otio")


@pytest.mark.parametrize("count", [9_000, 11_000])
def test_a_timeline_of_very_many_clips_is_answered_soon(tmp_path: Path, count: int) -> None:
    """Refused by their number, or because no timeline of ours has so many; not after comparing each with each."""
    tracks = (
        video(*(clip("a", n, 2) for n in range(count // 2))),
        audio(*(clip("a", n + 1, 3) for n in range(count // 2))),
    )
    otio.adapters.write_to_file(edit(*tracks), str(tmp_path / "edit.otio"), indent=0)
    text = (tmp_path / "edit.otio").read_text()
    (tmp_path / "edit.otio").write_text(json.dumps(json.loads(text), separators=(",", ":")))

    def refuse() -> None:
        with pytest.raises(RequestError):
            read_otio(tmp_path / "edit.otio")

    assert cpu_seconds(refuse) < 10


def test_notes_without_end_are_cut(tmp_path: Path) -> None:
    """A hundred, and the number of the others."""
    imported = read(
        tmp_path,
        video(*(clip(f"clip{number}", 0, 25, schema.Effect("x")) for number in range(45)), *(gap(1) for _ in range(3))),
    )
    assert len(imported.notes) <= 101
    notes = Notes()
    for number in range(5_000):
        notes.add(f"note {number}")
    assert len(notes.all) == 101
    assert notes.all[-1] == "There are 4,900 more notes."


def test_one_timeline_in_a_collection_is_read(tmp_path: Path) -> None:
    for count in (1, 2):
        collection = schema.SerializableCollection("all", [edit(video(clip("a", 0, 25))) for _ in range(count)])
        otio.adapters.write_to_file(collection, str(tmp_path / f"{count}.otio"))
    assert len(read_otio(tmp_path / "1.otio").timeline.track) == 1
    with pytest.raises(RequestError, match="2 timelines"):
        read_otio(tmp_path / "2.otio")


def test_the_library_is_imported_only_when_it_is_used() -> None:
    code = "import sys, mediajobs_dagster.timelines.otio; sys.exit('opentimelineio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- writing ---------------------------------------------------------------------------------------------------------

UPLOADS: dict[str, Upload] = {
    name: an_upload(id=name, filename=f"{name} of today.mp4", media_info=MINUTE) for name in ("talk", "walk", "song")
}
UPLOADS |= {"slide": an_upload(id="slide", filename="slide.png"), "raw": an_upload(id="raw", filename="raw.mp4")}

FULL = Timeline.model_validate(
    {
        "version": "create_video_v1",
        "title": "Ein Tag am See 🏖",
        "canvas": {"preset": "9:16", "fps": "30000/1001", "background": {"kind": "image", "source": "slide"}},
        "track": [
            {"kind": "clip", "source": "talk", "in": 1.1, "out": "1001/100", "gainDb": -3},
            {
                "kind": "clip",
                "source": "walk",
                "in": 2,
                "out": 12,
                "speed": 2,
                "hold": 1.5,
                "transition": {"kind": "dissolve", "duration": 1},
            },
            {"kind": "gap", "duration": "1/3"},
            {
                "kind": "still",
                "source": "talk",
                "at": 3,
                "duration": 2,
                "transition": {"kind": "fade", "duration": 0.5, "color": "#ff0000"},
            },
            {"kind": "image", "source": "slide", "duration": 3, "fit": "cover"},
            {"kind": "clip", "source": "raw", "mute": True, "start": 30, "out": 9, "crop": {"x": 0.1, "width": 0.5}},
            {"kind": "clip", "source": "talk", "in": 50},
        ],
        "layers": [
            {"kind": "video", "source": "walk", "start": 1, "out": 5, "opacity": 0.5, "enter": {"duration": 0.3}},
            {"kind": "title", "text": 'Hé "du"\n\\ 😀', "duration": 2, "style": {"size": 0.123}},
            {"kind": "video", "source": "walk", "start": 3, "out": 5, "mute": True, "border": {"width": 0.01}},
            {"kind": "captions", "format": "srt", "text": "1\n00:00:00,000 --> 00:00:01,000\nhi\n"},
            {"kind": "visualiser", "narration": "n1"},
        ],
        "narration": [{"id": "n1", "source": "talk", "start": 2, "in": 1, "out": 6, "gainDb": -2, "fadeIn": 0.1}],
        "music": [{"source": "song", "mode": "mix"}, {"source": "song", "start": 5, "duration": 200}],
        "loudness": None,
    }
)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The full timeline as a file."""
    path = tmp_path / "full.otio"
    write_otio(FULL, UPLOADS, path)
    return path


def rewritten(path: Path, change: Any) -> Imported:
    """What is read after another program has changed something."""
    made: Any = otio.adapters.read_from_file(str(path))
    change(made)
    otio.adapters.write_to_file(made, str(path))
    return read_otio(path)


def test_what_is_written_comes_back_the_same(written: Path) -> None:
    """Also after another program has read and saved it, and has marked something."""
    assert read_otio(written) == Imported(FULL, ())
    assert read_otio(written).timeline.model_dump_json() == FULL.model_dump_json()
    assert rewritten(written, lambda made: made.metadata.update(other=1)).timeline == FULL
    assert rewritten(written, lambda made: made.tracks[0][0].markers.append(schema.Marker("x"))).timeline == FULL


def test_other_programs_see_the_edit(written: Path) -> None:
    """Pieces where and as long as they are shown; media by its file name, with its length."""
    made: Any = otio.adapters.read_from_file(str(written))
    tracks = {track.name: track for track in made.tracks}
    assert [track.name for track in made.tracks] == [
        "Video",
        "Video 2",
        "Video 3",
        "Sound",
        "Sound above",
        "Narration",
        "Music",
        "Music",
    ]
    media: Media = {name: upload.media_info or MINUTE for name, upload in UPLOADS.items()}
    *_, last = item_times(FULL, media)
    base = tracks["Video"]
    assert base.duration().to_seconds() == pytest.approx(float(last.start + last.length))
    first, over, second, held = base[:4]
    assert first.media_reference.target_url == "talk of today.mp4"
    assert first.media_reference.available_range.duration.to_seconds() == pytest.approx(60)
    assert over.transition_type == "SMPTE_Dissolve"
    assert (over.in_offset + over.out_offset).to_seconds() == pytest.approx(1)
    assert first.duration().to_seconds() == pytest.approx(8.91 - over.out_offset.to_seconds())
    assert second.effects[0].time_scalar == 2
    assert second.duration().to_seconds() == pytest.approx(5 - over.in_offset.to_seconds())
    assert isinstance(held.effects[0], schema.FreezeFrame)
    heard = [child.name for child in tracks["Sound"] if isinstance(child, schema.Clip)]
    assert heard == ["talk of today.mp4", "walk of today.mp4", "talk of today.mp4"]
    assert [len(tracks[name].find_clips()) for name in ("Video 2", "Video 3", "Sound above", "Narration")] == [1] * 4


def test_what_only_the_metadata_has_is_said(tmp_path: Path) -> None:
    said = " ".join(write_otio(FULL, UPLOADS, tmp_path / "full.otio"))
    for thing in ("titles (1)", "captions (1)", "visualisers (1)", "cropped", "colour of fades", "gain", "music"):
        assert thing in said
    assert "loudness" not in said
    plain = Timeline.model_validate(
        {"version": "create_video_v1", "track": [{"kind": "clip", "source": "talk"}], "loudness": None}
    )
    assert write_otio(plain, UPLOADS, tmp_path / "plain.otio") == ()


def test_edited_tracks_win(written: Path) -> None:
    """What was edited is read from the tracks; what they never had, and what each item carries, stays."""

    def shorten(made: Any) -> None:
        base, _, _, sound, *_ = made.tracks
        for first in (base[0], sound[0]):
            first.source_range = otio.opentime.TimeRange(first.source_range.start_time, at(120, 30_000 / 1001))
        del sound[-1]

    imported = rewritten(written, shorten)
    assert noted(imported, "edited since")
    read_ = imported.timeline
    first, second, held, empty, still, image, *_ = read_.track
    assert isinstance(first, Clip)
    assert isinstance(second, Clip)
    assert isinstance(held, Still)
    assert isinstance(empty, Gap)
    assert isinstance(image, Picture)
    assert first.out == pytest.approx(Fraction(11, 10) + 120 / NTSC + Fraction(1, 2), abs=0.02)
    assert (first.source, first.gain_db) == ("talk", -3)
    assert (second.transition, second.speed) == (FULL.track[1].transition, 2)
    assert [item.mute for item in clips_of(imported)] == [False, False, True, True]
    assert held.duration == Fraction(3, 2)
    assert still.transition == FadeThrough(kind="fade", duration=Fraction(1, 2), color="#ff0000")
    assert (image.source, image.fit) == ("slide", "cover")
    videos = [layer for layer in FULL.layers if isinstance(layer, VideoLayer)]
    others = [layer for layer in FULL.layers if not isinstance(layer, VideoLayer)]
    assert list(read_.layers) == [*videos, *others]
    assert read_.narration == FULL.narration
    assert (read_.music, read_.canvas, read_.loudness) == (FULL.music, FULL.canvas, FULL.loudness)


def test_a_clip_that_was_linked_anew_is_what_it_is_linked_to(written: Path) -> None:
    def link(made: Any) -> None:
        made.tracks[0][0].media_reference.target_url = "other.mp4"

    assert rewritten(written, link).timeline.track[0].to_json()["source"] == "other.mp4"


def test_damaged_metadata_is_as_if_it_were_not_there(written: Path) -> None:
    def damage(made: Any) -> None:
        made.metadata["mediajobs"]["timeline"]["version"] = "none"
        made.tracks[0][0].metadata["mediajobs"]["item"]["gainDb"] = "loud"

    imported = rewritten(written, damage)
    assert noted(imported, "damaged")
    assert imported.timeline.music == FULL.music
    assert clips_of(imported)[0].gain_db == 0
    assert isinstance(rewritten(written, lambda made: made.metadata.update(mediajobs=7)), Imported)


def test_a_length_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    timeline = Timeline.model_validate({"version": "create_video_v1", "track": [{"kind": "clip", "source": "raw"}]})
    with pytest.raises(RequestError, match="The length of raw is unknown"):
        write_otio(timeline, UPLOADS, tmp_path / "raw.otio")
    assert list(tmp_path.iterdir()) == []


def test_an_edit_decision_list_is_written(tmp_path: Path) -> None:
    """What it cannot hold is refused; of what only metadata would have, it is said that it is lost."""
    timeline = Timeline.model_validate(
        {
            "version": "create_video_v1",
            "canvas": {"fps": 25},
            "track": [{"kind": "clip", "source": "talk", "in": 1, "out": 3, "mute": True}],
        }
    )
    assert "write .otio" in write_otio(timeline, UPLOADS, tmp_path / "edit.edl")[-1]
    [only] = clips_of(read_otio(tmp_path / "edit.edl", rate=Fraction(25)))
    assert (only.source, only.in_, only.out) == ("talk of today.mp4", 1, 3)
    with pytest.raises(RequestError, match=r"Write \.otio instead"):
        write_otio(FULL, UPLOADS, tmp_path / "full.edl")


def test_where_nothing_can_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="No such file or directory"):
        write_otio(FULL, UPLOADS, tmp_path / "nowhere" / "full.otio")
    with pytest.raises(RequestError, match=r"writes files that end with \.mov"):
        write_otio(FULL, UPLOADS, tmp_path / "full.mov")


# --- media that is known ---------------------------------------------------------------------------------------------


def a_library(**timecodes: str | None) -> Library:
    """Uploads of a minute of video, whose first frame has this time code."""
    uploads = {
        f"{name}.mp4": an_upload(id=f"the {name}", filename=f"{name}.mp4", media_info=info)
        for name, timecode in timecodes.items()
        if (info := MINUTE.model_copy(update={"timecode": timecode}))
    }
    return Library(lambda names: {name: uploads.get(name) or Unresolved(name, "is not there") for name in names})


HOUR = 90_000
"""Frames at 25 a second."""


@pytest.mark.parametrize(
    ("available", "start", "seconds", "said"),
    [
        (None, HOUR + 50, 2, ""),
        (None, 50, 2, "counted from zero, although the time code of a.mp4 begins at 01:00:00:00"),
        (span(HOUR, 1500), HOUR + 50, 2, ""),
        (span(HOUR + 25, 100), HOUR + 50, 2, ""),
        (span(0, 1500), 50, 2, ""),
        (span(2 * HOUR, 1500), 2 * HOUR + 50, 2, ""),
    ],
    ids=["unsaid", "from zero", "said", "said of a part", "said to be zero", "said otherwise"],
)
def test_time_codes_of_known_media_are_subtracted(
    tmp_path: Path, available: Any, start: float, seconds: float, said: str
) -> None:
    """Those of the file; those that the timeline says of it, where it differs, unless it is a part of the file."""
    shown = clip("a", start, 50, media=schema.ExternalReference("a.mp4", available))
    otio.adapters.write_to_file(edit(video(shown), audio(shown.deepcopy())), str(tmp_path / "edit.otio"))
    imported = read_otio(tmp_path / "edit.otio", library=a_library(a="01:00:00:00"))
    [only] = clips_of(imported)
    assert (only.source, only.in_, only.out, only.mute) == ("the a", seconds, seconds + 2, False)
    assert imported.faults == ()
    assert noted(imported, said) if said else not noted(imported, "“a”")


def test_what_is_not_in_known_media_is_a_fault(tmp_path: Path) -> None:
    """On the base track and above it, in a nest, or as sound."""
    late = clip("a", HOUR + 1500, 25, media=schema.ExternalReference("a.mp4"))
    tracks = (
        video(clip("b", 0, 100), schema.Stack("nest", [late.deepcopy()])),
        video(late.deepcopy()),
        audio(gap(5), late.deepcopy()),
    )
    otio.adapters.write_to_file(edit(*tracks), str(tmp_path / "edit.otio"))
    imported = read_otio(tmp_path / "edit.otio", library=a_library(a="01:00:00:00", b=None))
    assert [fault.path for fault in imported.faults] == ["$.track[1]", "$.layers[0]", "$.narration[0]"]
    assert {fault.message for fault in imported.faults} == {
        "begins at 01:01:00:00, but a.mp4 lasts from 01:00:00:00 to 01:01:00:00"
    }
    assert imported.places["$.layers[0]"] == "the clip “a”"


def test_what_we_wrote_comes_back_whatever_the_time_code(tmp_path: Path) -> None:
    """Edited elsewhere or not."""
    timed = {name: upload for name, upload in UPLOADS.items() if upload.media_info}
    timed |= {
        name: upload.model_copy(update={"media_info": MINUTE.model_copy(update={"timecode": "00:00:10:00"})})
        for name, upload in timed.items()
    }
    path = tmp_path / "full.otio"
    write_otio(FULL, UPLOADS | timed, path)
    known = Library(lambda names: {name: timed.get(name) or Unresolved(name, "") for name in names})
    assert read_otio(path, library=known) == Imported(FULL, ())
    made: Any = otio.adapters.read_from_file(str(path))
    del made.tracks[0][-1]
    otio.adapters.write_to_file(made, str(path))
    assert clips_of(read_otio(path, library=known))[0].in_ == Fraction(11, 10)
