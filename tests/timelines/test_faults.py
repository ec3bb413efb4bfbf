"""Whatever is wrong with a timeline is told at once, in order, each with its JSON path; and nothing is enqueued."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mediajobs_dagster.errors import TimelineError
from mediajobs_dagster.history import JobFilter
from mediajobs_dagster.intake.export_requests import ExportRequests
from mediajobs_dagster.models import AudioStream, MediaInfo, Upload, VideoStream, new_id
from mediajobs_dagster.timelines.documents import read_document
from mediajobs_dagster.timelines.faults import faults_of
from mediajobs_dagster.timelines.file_contents import MAX_BYTES
from mediajobs_dagster.timelines.layout import Media
from mediajobs_dagster.timelines.parsing import in_order, parse_timeline
from mediajobs_dagster.timelines.text.fonts import Fonts
from tests.history.factories import an_upload
from tests.platform import Platform

PICTURE = VideoStream(index=0, codec="h264", width=1920, height=1080, fps=25)
SOUND = AudioStream(index=1, codec="aac", channels=2, sample_rate=48_000)


def ten_seconds(*streams: VideoStream | AudioStream, image: bool = False) -> MediaInfo:
    return MediaInfo(
        container="image" if image else "mp4",
        duration_seconds=0 if image else 10,
        bytes=1,
        video=tuple(each for each in streams if isinstance(each, VideoStream)),
        audio=tuple(each for each in streams if isinstance(each, AudioStream)),
    )


VIDEO = ten_seconds(PICTURE, SOUND)
MEDIA: dict[str, MediaInfo] = {
    "v": VIDEO,
    "long": VIDEO.model_copy(update={"duration_seconds": 7200.0}),
    "silent": ten_seconds(PICTURE),
    "sound": ten_seconds(SOUND),
    "image": ten_seconds(PICTURE, image=True),
    "thin": ten_seconds(PICTURE.model_copy(update={"width": 1, "height": 2000}), image=True),
    "blind": ten_seconds(PICTURE.model_copy(update={"width": 0, "height": 0}), SOUND),
    "slides": ten_seconds(PICTURE.model_copy(update={"fps": 1 / 300})),
}
FONTS = Fonts()


def clip(source: str = "v", in_: float | str = 0, out: float | str | None = 4, **more: Any) -> dict[str, Any]:
    return {"kind": "clip", "source": source, "in": in_, **({} if out is None else {"out": out}), **more}


def title(text: str = "Hello", **more: Any) -> dict[str, Any]:
    return {"kind": "title", "text": text, "duration": 1, **more}


def captions(text: str) -> dict[str, Any]:
    return {"kind": "captions", "format": "srt", "text": text}


def whole(*track: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {"version": "create_video_v1", "track": list(track) or [clip()], **parts}


def found(document: dict[str, Any], media: Media | None = None) -> list[str]:
    """All faults, in order, as people see them."""
    parsed = parse_timeline(document)
    faults = [*parsed.faults, *faults_of(parsed, MEDIA if media is None else media, FONTS)]
    return [str(fault) for fault in in_order(document, faults)]


def dissolve(seconds: float) -> dict[str, Any]:
    return {"transition": {"kind": "dissolve", "duration": seconds}}


def fade(seconds: float) -> dict[str, Any]:
    return {"transition": {"kind": "fade", "duration": seconds}}


VISUALISER = {"kind": "visualiser", "narration": "n"}


def test_nothing_wrong() -> None:
    """All kinds of things, none of them at fault."""
    document = whole(
        clip(),
        clip("silent", **dissolve(1)),
        {"kind": "image", "source": "image", "duration": 2, **fade(1)},
        {"kind": "still", "source": "v", "at": 9.9, "duration": 1, "start": 12},
        layers=[title(), VISUALISER, {"kind": "video", "source": "silent"}, {"kind": "logo", "source": "image"}],
        narration=[{"id": "n", "source": "sound"}],
        music=[{"source": "v"}],
    )
    assert found(document) == []


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        # clips
        (whole(clip(in_=4, out=4)), "$.track[0].out: is 4 s, which is not after in, 4 s"),
        (whole(clip(in_=4, out=2)), "$.track[0].out: is 2 s, which is not after in, 4 s"),
        (whole(clip(out=10.04)), "$.track[0].out: is 10.04 s, beyond the end of the source at 10 s"),
        (whole(clip(in_=10, out=10.01)), "$.track[0].in: is 10 s, beyond the end of the source at 10 s"),
        (whole(clip(out=0.02)), "$.track[0]: lasts 0.02 s, less than a frame"),
        (
            whole({"kind": "still", "source": "v", "at": 10, "duration": 1}),
            "$.track[0].at: is 10 s, beyond the end of the source at 10 s",
        ),
        # the base track
        (whole(clip(), clip(start=3.9)), "$.track[1].start: is 3.9 s: this item overlaps the one before by 0.1 s"),
        (
            whole(clip(), clip(start=2.5, **dissolve(1))),
            "$.track[1].start: is 2.5 s: this item overlaps the one before by 0.5 s",
        ),
        (
            whole(clip(**dissolve(1))),
            "$.track[0].transition: the first item has no item before it; leave out the transition",
        ),
        (
            whole(clip(), clip(start=5, **fade(1))),
            "$.track[1].transition: there is a gap before this item; leave out its start",
        ),
        (
            whole(clip(), clip(out=1, **dissolve(1.5)), clip()),
            "$.track[1]: lasts 1 s, and the transitions into and out of it need 1.5 s; shorten them",
        ),
        (
            whole(clip(), clip(out=1, **dissolve(0.6)), clip(**fade(1))),
            "$.track[1]: lasts 1 s, and the transitions into and out of it need 1.1 s; shorten them",
        ),
        (
            whole({"kind": "gap", "duration": 600}, clip("long", out=601)),
            "$.track: lasts 1201 s; 1200 s are the most",
        ),
        (whole(clip(hold=1197)), "$.track: lasts 1201 s; 1200 s are the most"),
        # of the wrong kind
        (whole(clip("sound")), "$.track[0].source: has no picture; use it as narration or music"),
        (
            whole({"kind": "still", "source": "sound", "duration": 1}),
            "$.track[0].source: has no picture",
        ),
        (whole(clip("image")), "$.track[0].source: is an image; use an item of kind image"),
        (whole({"kind": "image", "source": "v", "duration": 1}), "$.track[0].source: is not an image"),
        (whole(layers=[{"kind": "logo", "source": "v"}]), "$.layers[0].source: is not an image"),
        (
            whole(layers=[{"kind": "video", "source": "image"}]),
            "$.layers[0].source: is an image; use an item of kind image",
        ),
        (
            whole(layers=[{"kind": "video", "source": "sound"}]),
            "$.layers[0].source: has no picture; use it as narration or music",
        ),
        (whole(canvas={"background": {"kind": "image", "source": "v"}}), "$.canvas.background.source: is not an image"),
        (whole(music=[{"source": "image"}]), "$.music[0].source: is an image and has no sound"),
        (whole(music=[{"source": "silent"}]), "$.music[0].source: has no sound"),
        (whole(narration=[{"source": "silent"}]), "$.narration[0].source: has no sound"),
        *(
            (
                whole(item),
                "$.track[0].source: has a picture of unknown size; its beginning may be missing",
            )
            for item in (clip("blind"), {"kind": "still", "source": "blind", "duration": 1})
        ),
        (
            whole(layers=[{"kind": "video", "source": "blind"}]),
            "$.layers[0].source: has a picture of unknown size; its beginning may be missing",
        ),
        # too large, too small, too short
        *(
            (
                whole(layers=[{"kind": kind, "source": "thin", "scale": 0.5}]),
                "$.layers[0].scale: makes it 960x1920000 pixels; its height may be 4320 at most; "
                "use a scale of 0.001 at most",
            )
            for kind in ("image", "logo")
        ),
        (
            whole(layers=[{"kind": "video", "source": "v", "crop": {"width": 0.01}}]),
            "$.layers[0].scale: makes it 576x32400 pixels; its height may be 4320 at most; use a scale of 0.04 at most",
        ),
        (
            whole(clip(crop={"width": 0.0001})),
            "$.track[0].crop: leaves 0.192x1080 pixels of the picture; the least is 4x4. Make it larger",
        ),
        (
            whole({"kind": "image", "source": "image", "duration": 1, "crop": {"height": 0.001}}),
            "$.track[0].crop: leaves 1920x1.08 pixels of the picture; the least is 4x4. Make it larger",
        ),
        (
            whole(layers=[{"kind": "video", "source": "v", "crop": {"width": 0.0001}, "scale": 0.001}]),
            "$.layers[0].crop: leaves 0.192x1080 pixels of the picture; the least is 4x4. Make it larger",
        ),
        (whole(layers=[title() | {"duration": 0.01}]), "$.layers[0]: lasts 0.01 s, less than a frame"),
        (whole(layers=[{"kind": "video", "source": "v", "in": 9.99}]), "$.layers[0]: lasts 0.01 s, less than a frame"),
        (
            whole(narration=[{"source": "v", "out": 0.01, "fadeIn": 1}]),
            "$.narration[0]: lasts 0.01 s, less than a frame",
        ),
        # beyond the end
        (whole(layers=[title(start=4)]), "$.layers[0].start: is 4 s, beyond the end of the timeline at 4 s"),
        (
            whole(music=[{"source": "v", "start": 9}]),
            "$.music[0].start: is 9 s, beyond the end of the timeline at 4 s",
        ),
        (
            whole(narration=[{"source": "v", "start": 3.99}]),
            "$.narration[0].start: is 3.99 s, beyond the end of the timeline at 4 s",
        ),
        (
            whole(layers=[{"kind": "video", "source": "v", "out": 11}]),
            "$.layers[0].out: is 11 s, beyond the end of the source at 10 s",
        ),
        (
            whole(narration=[{"source": "v", "out": 10.1}]),
            "$.narration[0].out: is 10.1 s, beyond the end of the source at 10 s",
        ),
        (
            whole(music=[{"source": "v", "in": 10}]),
            "$.music[0].in: is 10 s, beyond the end of the source at 10 s",
        ),
        # narrations
        (
            whole(narration=[{"id": "n", "source": "v"}, {"source": "v"}, {"id": "n", "source": "v"}]),
            "$.narration[2].id: 'n' is given twice",
        ),
        (whole(layers=[VISUALISER]), "$.layers[0].narration: there is no narration with the id 'n'"),
        # how many
        (whole(*[clip(out=1)] * 51), "$.track: has 51 clips; 50 are the most"),
        (whole(layers=[title()] * 201), "$.layers: has 201 items of kind title; 200 are the most"),
        (
            whole(*[{"kind": "gap", "duration": 1}] * 201),
            "$.track: has 201 items of kind gap; 200 are the most",
        ),
        # the canvas
        (whole(canvas={"width": 640}), "$.canvas: has only one of width and height; give both, or a preset"),
        (whole(canvas={"height": 640}), "$.canvas: has only one of width and height; give both, or a preset"),
        (
            whole(canvas={"preset": "1:1", "width": 640, "height": 640}),
            "$.canvas: has a preset and a size; give one of them",
        ),
        # text
        (whole(layers=[title("word " * 400)]), "$.layers[0].text: "),
        (whole(layers=[title("a" * 10_000)]), "$.layers[0].text: has to have at most 2000 characters"),
        (
            whole(layers=[{"kind": "lower_third", "name": "A" * 200, "duration": 1, "style": {"size": 0.4}}]),
            "$.layers[0].name: ",
        ),
        (whole(layers=[title(style={"font": "Comic"})]), "$.layers[0].style.font: There is no font family 'Comic'"),
        (whole(layers=[captions("Hello")]), "$.layers[0].text: No caption was found in 1 line"),
        (
            whole(layers=[captions("1\n00:00:01,000 -->\nHello")]),
            "$.layers[0].text: Line 2 of the captions has no times that can be read",
        ),
        (
            whole(layers=[captions("00:00:01,000 --> 00:00:03,000\nA\n\n" * 21)]),
            "$.layers[0].text: 21 captions are shown at the same time, 1.000 s; 20 are the most",
        ),
        (
            whole(layers=[captions("00:00:01,000 --> 00:00:03,000\n" + "word " * 401)]),
            "$.layers[0].text: The caption at line 1 has",
        ),
    ],
)
def test_each_kind_of_fault(document: dict[str, Any], fault: str) -> None:
    """That one, at its place, and no other that only follows from it."""
    (only,) = found(document)
    assert only.startswith(fault)


def test_a_crop_beyond_the_edge() -> None:
    """On the base track and in a layer; one that reaches the edge is none."""
    over = {"x": 0.6, "width": 0.6}
    layer = {"kind": "video", "source": "v", "out": 2, "crop": over}
    places = [fault.partition(":")[0] for fault in found(whole(clip(crop=over), layers=[layer]))]
    assert places == ["$.track[0].crop", "$.layers[0].crop"]
    assert found(whole(clip(crop={"x": 0.1, "width": 0.9, "y": 0.3, "height": 0.7}))) == []


def test_less_than_a_frame_is_no_fault() -> None:
    """At 25 frames a second 39 ms beyond the end are let through, and half a frame of overlap is none."""
    assert found(whole(clip(out=10.039))) == []
    assert found(whole(clip(), clip(start=3.98))) == []
    assert found(whole(narration=[{"source": "v", "out": 10.09}], layers=[title(start=3.9)])) == []


def test_a_source_that_shows_a_frame_in_minutes_is_no_fault() -> None:
    """A recording of a slide: two frames in ten minutes."""
    assert found(whole(clip("slides"))) == []


def test_a_field_whose_name_is_a_digit_to_some() -> None:
    """It is unknown, like any other."""
    document = whole(clip(**{"²": 1}), **{"²": 1, "٣": 2})
    assert found(document) == [f"$.{name}: there is no such field" for name in ("track[0].²", "²", "٣")]


def test_captions_that_overlap_are_no_fault() -> None:
    """They stand in a stack."""
    text = "00:00:01,000 --> 00:00:03,000\nA\n\n00:00:02,000 --> 00:00:03,000\nB\n"
    assert found(whole(layers=[captions(text)])) == []


# --- nothing that may turn out to be right ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "faults"),
    [
        # How long the first item is, is not known: neither where the second begins nor where the whole ends.
        (whole(clip("?", out=None), clip(start=2, **fade(1)), layers=[title(start=99)]), 1),
        (whole(clip("?", out=None), clip(**dissolve(1))), 0),
        # An item that cannot be read is none that is missing.
        (whole(clip(speed=9), clip(**dissolve(1)), layers=[title(start=9)]), 1),
        (whole(clip(out=1), clip(speed=9), clip(**dissolve(1))), 1),
        (whole(clip(out=12), clip(**dissolve(3)), layers=[title(start=10)]), 1),
        # How large the canvas is, is not known.
        (whole(clip("?"), layers=[title("word " * 30, style={"size": 0.16})]), 0),
        (whole(canvas={"width": 0, "height": 9000}, layers=[title("word " * 30, style={"size": 0.16})]), 2),
    ],
)
def test_what_depends_on_other_faults_is_not_said(document: dict[str, Any], faults: int) -> None:
    """It may be right once those are mended."""
    said = [fault for fault in found(document) if "there is a gap" not in fault]
    assert len(said) <= faults, said


def test_what_does_not_depend_on_them_is_said() -> None:
    """Behind an item with a start of its own, all is known again; and a part that runs backwards does so anywhere."""
    document = whole(
        clip("?", out=None),
        clip(start=20, out=1),
        clip(start=20.5),
        clip("?", in_=3, out=2),
        clip(start=40),
        layers=[title(start=50), {"kind": "video", "source": "?", "in": 2, "out": 1}],
        narration=[{"source": "?", "in": 2, "out": 1}],
    )
    assert found(document) == [
        "$.track[2].start: is 20.5 s: this item overlaps the one before by 0.5 s",
        "$.track[3].out: is 2 s, which is not after in, 3 s",
        "$.layers[0].start: is 50 s, beyond the end of the timeline at 44 s",
        "$.layers[1].out: is 1 s, which is not after in, 2 s",
        "$.narration[0].out: is 1 s, which is not after in, 2 s",
    ]


# --- through the command's own way -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Desk:
    """Where exports are asked for."""

    platform: Platform

    @property
    def exports(self) -> ExportRequests:
        return ExportRequests(self.platform.history, self.platform.storage)

    def add(self, name: str, info: MediaInfo | None, *, stored: bool = True) -> Upload:
        """An upload that was probed (or not yet) and is stored (or was deleted since)."""
        key = f"uploads/{new_id()}/source"
        upload = an_upload(id=new_id(), filename=name, storage_key=key, origin=name, media_info=info, etag=name)
        if stored:
            path = self.platform.settings.home / "objects" / key
            path.parent.mkdir(parents=True)
            path.write_bytes(b"content")
        return self.platform.history.uploads.add(upload)

    def refuses(self, document: dict[str, Any]) -> list[tuple[str, str]]:
        """The faults by which it is refused, after which there is no trace of it."""
        with pytest.raises(TimelineError) as refusal:
            self.exports.prepare(document)
        assert self.platform.history.jobs.list(JobFilter()) == []
        listed = [f"  {fault['path']}: {fault['message']}" for fault in refusal.value.faults]
        assert str(refusal.value).splitlines()[1:] == listed
        return [(fault["path"], fault["message"]) for fault in refusal.value.faults]


@pytest.fixture
def desk(platform: Platform) -> Desk:
    """With one video of each condition."""
    made = Desk(platform)
    made.add("v.mp4", VIDEO)
    made.add("deleted.mp4", VIDEO, stored=False)
    made.add("unprobed.mp4", None)
    return made


def test_uploads_that_cannot_be_used(desk: Desk) -> None:
    """Unknown, deleted, and not yet probed: each says what to do."""
    names = ("v.mp4", "other.mp4", "deleted.mp4", "unprobed.mp4")
    faults = desk.refuses(whole(*(clip(name) for name in names)))
    assert [path for path, _ in faults] == [f"$.track[{number}].source" for number in (1, 2, 3)]
    said = (
        "mediajobs add other.mp4",
        "was deleted; add it again",
        "is not probed yet; wait until one of its jobs has run",
    )
    assert all(words in message for (_, message), words in zip(faults, said, strict=True))


def test_ten_faults_at_once(desk: Desk) -> None:
    """Of ten kinds, in the order of the document, which need not be ours."""
    document = {
        "music": [{"source": "v.mp4", "duckDb": 7}],
        "version": "create_video_v1",
        "track": [
            clip("v.mp4", in_=3, out=2),
            clip("v.mp4", start=0, out=3),
            clip("v.mp4", start=2),
            clip("other.mp4", start=10),
            clip("deleted.mp4", start=20),
            clip("v.mp4", start=30, loop=1),
            clip("v.mp4", start=40, out=11),
            clip("v.mp4", start=60),
        ],
        "layers": [title(style={"font": "Comic"}), captions("none"), title(start=70)],
        "canvas": {"width": 640},
        "extra": 1,
    }
    assert [path for path, _ in desk.refuses(document)] == [
        "$.music[0].duckDb",
        "$.track[0].out",
        "$.track[2].start",
        "$.track[3].source",
        "$.track[4].source",
        "$.track[5].loop",
        "$.track[6].out",
        "$.layers[0].style.font",
        "$.layers[1].text",
        "$.layers[2].start",
        "$.canvas",
        "$.extra",
    ]


def test_files_with_captions_are_listed_with_the_rest(desk: Desk, tmp_path: Path) -> None:
    """Missing, of another kind, in another encoding; those that can be read are in the timeline."""
    (tmp_path / "good.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nGrüße\n", encoding="utf-16")
    (tmp_path / "latin.srt").write_bytes("1\n00:00:00,000 --> 00:00:01,000\nGrüße\n".encode("latin-1"))
    with (tmp_path / "huge.vtt").open("wb") as huge:
        huge.truncate(MAX_BYTES + 1)
    files = ("good.srt", "latin.srt", "missing.vtt", "notes.txt", "nul\\u0000.srt", "huge.vtt")
    layers = ", ".join(f'{{"kind": "captions", "file": "{name}"}}' for name in files)
    path = tmp_path / "edit.json"
    path.write_text(
        f'{{"version": "create_video_v1", "track": [{{"kind": "clip", "source": "x.mp4"}}], "layers": [{layers}]}}'
    )
    document = read_document(path)
    assert document.content["layers"][0]["text"].endswith("Grüße\n")
    with pytest.raises(TimelineError) as refusal:
        desk.exports.prepare(document.content, document.faults)
    assert [fault["path"] for fault in refusal.value.faults] == [
        "$.track[0].source",
        *(f"$.layers[{number}].file" for number in (1, 2, 3, 4, 5)),
    ]
    said = ("not in UTF-8 (line 3", "No such file", "neither .srt nor .vtt", "not a possible file name", " MiB")
    assert all(words in fault["message"] for words, fault in zip(said, refusal.value.faults[1:], strict=True))


def test_a_document_that_is_nested_deeply(tmp_path: Path, desk: Desk) -> None:
    """As deeply as JSON is read: a fault and no crash."""
    path = tmp_path / "edit.json"
    path.write_text(
        f'{{"version": "create_video_v1", "track": [{{"kind": "gap", "duration": {"[" * 900 + "]" * 900}}}]}}'
    )
    assert [where for where, _ in desk.refuses(read_document(path).content)] == ["$.track[0].duration"]


def test_text_that_cannot_be_stored(desk: Desk) -> None:
    """Half of a surrogate pair, or a zero, is a fault and no crash."""
    for text in ("a\ud800", "a\0"):
        assert [path for path, _ in desk.refuses(whole(clip("v.mp4"), layers=[title(text)]))] == ["$.layers[0].text"]
