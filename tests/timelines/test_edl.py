"""Edit decision lists of every kind: what they show, and what is said of what they cannot show."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import pytest

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.models import AudioStream, MediaInfo, Upload, VideoStream
from mediajobs_dagster.timelines.layout import canvas_fps
from mediajobs_dagster.timelines.model import Clip, Dissolve, Gap, Narration, Picture, Still, TrackItem, VideoLayer
from mediajobs_dagster.timelines.otio import Imported, read_otio
from mediajobs_dagster.timelines.otio.conforming import Library
from mediajobs_dagster.timelines.otio.time_codes import read_code, shown_code
from mediajobs_dagster.timelines.resolving import Found, Unresolved
from tests.cpu import cpu_seconds
from tests.history.factories import an_upload

NTSC = Fraction(30_000, 1001)
A = "001  AX  V  C  00:00:10:00 00:00:12:00 01:00:00:00 01:00:02:00\n* FROM CLIP NAME: a.mp4\n"
"""Two seconds of a.mp4, at 10 s."""
B = "002  AX  V  C  00:00:20:00 00:00:21:00 01:00:02:00 01:00:03:00\n* FROM CLIP NAME: b.mp4\n"
"""And one of b.mp4, at 20 s."""


def read(
    folder: Path, text: str | bytes, *, rate: Fraction | None = Fraction(25), library: Library | None = None
) -> Imported:
    """What is read of a file with this text."""
    path = folder / "edit.edl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_otio(path, rate=rate, library=library)


def refusal(folder: Path, text: str | bytes, *, rate: Fraction | None = Fraction(25)) -> str:
    """Why a file with this text is refused."""
    with pytest.raises(RequestError) as refused:
        read(folder, text, rate=rate)
    return refused.value.message


def track_of(imported: Imported) -> str:
    """The base track in short: `a.mp4 10-12; gap 1; 0.4> b.mp4 2-3 x2 mute`."""
    return "; ".join(map(_item, imported.timeline.track))


def above(imported: Imported) -> str:
    """What is above the base track, and what is heard beside it: `a.mp4 10-12 at 3`."""
    layers = [layer for layer in imported.timeline.layers if isinstance(layer, VideoLayer)]
    return "; ".join(_above(each) for each in (*layers, *imported.timeline.narration))


def _item(item: TrackItem) -> str:
    into = f"{_s(item.transition.duration)}> " if isinstance(item.transition, Dissolve) else ""
    match item:
        case Gap():
            return f"{into}gap {_s(item.duration)}"
        case Still():
            return f"{into}{item.source} {_s(item.at)} for {_s(item.duration)}"
        case Picture():
            return f"{into}{item.source} for {_s(item.duration)}"
        case Clip():
            speed = f" x{item.speed:g}" if item.speed != 1 else ""
            return f"{into}{item.source} {_s(item.in_)}-{_s(item.out)}{speed}{' mute' if item.mute else ''}"


def _above(item: VideoLayer | Narration) -> str:
    return f"{item.source} {_s(item.in_)}-{_s(item.out)} at {_s(item.start)}"


def _s(value: Fraction | None) -> str:
    return "" if value is None else f"{float(value):.3f}".rstrip("0").rstrip(".")


def media(seconds: float = 60, *, fps: float = 25, timecode: str | None = None) -> MediaInfo:
    """A video with sound."""
    return MediaInfo(
        container="mov",
        duration_seconds=seconds,
        bytes=1,
        video=(VideoStream(index=0, codec="h264", width=1920, height=1080, fps=fps),),
        audio=(AudioStream(index=1, codec="aac", channels=2, sample_rate=48_000),),
        timecode=timecode,
    )


def library(files: Mapping[str, MediaInfo], named: Mapping[str, str] | None = None) -> Library:
    """Uploads with these file names, which are their ids too."""
    uploads = {name: an_upload(id=name, filename=name, media_info=info) for name, info in files.items()}

    def look_up(names: Iterable[str]) -> Found:
        found: dict[str, Upload | Unresolved] = {name: Unresolved(name, "is not there") for name in names}
        by_stem = {name.partition(".")[0]: upload for name, upload in uploads.items()}
        return found | {name: found for name in found if (found := uploads.get(name) or by_stem.get(name))}

    return Library(look_up, named or {})


# --- what comes out right --------------------------------------------------------------------------------------------

SHOWN = {
    "cuts": (A + B, "a.mp4 10-12; b.mp4 20-21"),
    "no title, blank lines": (f"\n\n{A}\n\n\n{B}\n", "a.mp4 10-12; b.mp4 20-21"),
    "lower case": (
        A.replace("V  C", "v  c") + B.replace("FROM CLIP NAME", "from clip name"),
        "a.mp4 10-12; b.mp4 20-21",
    ),
    "tabs": ((A + B).replace("  ", "\t"), "a.mp4 10-12; b.mp4 20-21"),
    "six digits": (A.replace("001", "000001"), "a.mp4 10-12"),
    "a long reel with spaces": (A.replace("AX", "A012 C003 day 2"), "a.mp4 10-12"),
    "no space after the asterisk": (A.replace("* ", "*"), "a.mp4 10-12"),
    "no asterisk": (A.replace("* ", ""), "a.mp4 10-12"),
    "sorted by source": (B + A, "a.mp4 10-12; b.mp4 20-21"),
    "numbers of frames": ("001 AX V C 250 300 0 50\n* FROM CLIP NAME: a.mp4\n", "a.mp4 10-12"),
    "a hole": (A + B.replace("01:00:02:00 01:00:03:00", "01:00:05:00 01:00:06:00"), "a.mp4 10-12; gap 3; b.mp4 20-21"),
    "black": (A + "002 BL V C 00:00:00:00 00:00:01:00 01:00:02:00 01:00:03:00\n", "a.mp4 10-12; gap 1"),
    "the same number twice": (A + B.replace("002", "001"), "a.mp4 10-12; b.mp4 20-21"),
    "numbers that start again": (A + B.replace("002", "000"), "a.mp4 10-12; b.mp4 20-21"),
    "a source over midnight": (
        "001 AX V C 23:59:59:00 00:00:01:00 01:00:00:00 01:00:02:00\n* FROM CLIP NAME: a.mp4\n",
        "a.mp4 86399-86401",
    ),
    "a programme over midnight": (
        "001 AX V C 00:00:10:00 00:00:12:00 23:59:59:00 00:00:01:00\n* FROM CLIP NAME: a.mp4\n"
        "002 AX V C 00:00:20:00 00:00:21:00 00:00:01:00 00:00:02:00\n* FROM CLIP NAME: b.mp4\n",
        "a.mp4 10-12; b.mp4 20-21",
    ),
    "an hour of the programme": (A.replace("01:00:0", "10:00:0"), "a.mp4 10-12"),
    "a path of Windows": (A.replace("CLIP NAME: a.mp4", "FILE: S:\\day 1\\a.mp4"), "a.mp4 10-12"),
    "a file wins over a clip": (f"{A}* SOURCE FILE: A012.mov\n", "A012.mov 10-12"),
    "a reel alone": (A.splitlines()[0].replace("AX", "C25"), "C25 10-12"),
    "an image": (A.replace("a.mp4", "a.PNG"), "a.PNG for 2"),
    "twice the speed": (f"{A.replace('12:00', '14:00')}M2   AX   050.0   00:00:10:00\n", "a.mp4 10-14 x2"),
    "half the speed": (f"{A.replace('12:00', '11:00')}M2 AX 12.5 00:00:10:00\n", "a.mp4 10-11 x0.5"),
    "speed of a reel with spaces": (
        f"{A.replace('AX', 'Day 2').replace('12:00', '14:00')}M2 Day 2 +050. 00:00:10:00\n",
        "a.mp4 10-14 x2",
    ),
    "a speed without a change": (f"{A}M2 AX 025.0 00:00:10:00\n", "a.mp4 10-12"),
    "frozen": (f"{A}M2 AX 000.0 00:00:10:00\n", "a.mp4 10 for 2"),
    "frozen in a remark": (f"{A.replace('a.mp4', 'a.mp4 FF')}* * FREEZE FRAME\n", "a.mp4 FF 10 for 2"),
    "pictures without sound": (A + B.replace(" V ", " A "), "a.mp4 10-12 mute; gap 1"),
    "picture and sound": (A.replace(" V ", " AA/V ") + B.replace(" V ", " B "), "a.mp4 10-12; b.mp4 20-21"),
    "channels in one word": (A.replace(" V ", " VA1A2 ") + B, "a.mp4 10-12; b.mp4 20-21 mute"),
    "further channels of sound": (f"{A}AUD  3  4\n{B}", "a.mp4 10-12; b.mp4 20-21 mute"),
    "a split edit": (
        "SPLIT:  AUDIO DELAY= 00:00:00:00\n" + A.splitlines()[0] + "\n" + A.replace(" V ", " A ") + B,
        "a.mp4 10-12; b.mp4 20-21 mute",
    ),
    "a key": (
        f"{A}002 AX V KB     00:00:20:00 00:00:21:00 01:00:02:00 01:00:03:00\n"
        "002 AX V K  000 00:00:30:00 00:00:31:00 01:00:02:00 01:00:03:00\n"
        "* FROM CLIP NAME: b.mp4\n* KEY CLIP NAME: logo.mov\n",
        "a.mp4 10-12; b.mp4 20-21",
    ),
    "a key that is written apart": (
        f"{A}002 AX V K B     00:00:20:00 00:00:21:00 01:00:02:00 01:00:03:00\n"
        "002 AX V K O 010 00:00:30:00 00:00:31:00 01:00:02:00 01:00:03:00\n* FROM CLIP NAME: b.mp4\n",
        "a.mp4 10-12; b.mp4 20-21",
    ),
    "recorded over": (
        A + B.replace("01:00:02:00 01:00:03:00", "01:00:00:12 01:00:01:12"),
        "a.mp4 10-10.48; b.mp4 20-21; a.mp4 11.48-12",
    ),
}
DISSOLVE = (
    "002  {old}  V  C        {at} {at} 01:00:02:00 01:00:02:00\n"
    "002  {new}  V  {kind}   00:00:20:00 00:00:21:00 01:00:02:00 01:00:03:00\n{said}"
)
BOTH = "* FROM CLIP NAME: a.mp4\n* TO CLIP NAME: b.mp4\n"


def dissolve(
    kind: str = "D 010", said: str = BOTH, *, old: str = "AX", new: str = "AX", at: str = "00:00:12:00"
) -> str:
    """An event of two lines."""
    return DISSOLVE.format(kind=kind, said=said, old=old, new=new, at=at)


SHOWN |= {
    "a dissolve": (A + dissolve(), "a.mp4 10-12.4; 0.4> b.mp4 20-21"),
    "a dissolve in one line": (
        A + B.replace(" C ", " D 010 ").replace("FROM", "TO"),
        "a.mp4 10-12.4; 0.4> b.mp4 20-21",
    ),
    "remarks between its lines": (
        A + dissolve(said="* FROM CLIP NAME: b.mp4\n").replace("\n002", "\n* FROM CLIP NAME: a.mp4\n002"),
        "a.mp4 10-12.4; 0.4> b.mp4 20-21",
    ),
    "a statement between its lines": (
        A + dissolve().replace("\n002", "\nFCM: NON-DROP FRAME\n002"),
        "a.mp4 10-12.4; 0.4> b.mp4 20-21",
    ),
    "a dissolve longer than its event": (A + dissolve("D 050"), "a.mp4 10-13; 1> b.mp4 20-21"),
    "a dissolve of no length": (A + dissolve("D 000"), "a.mp4 10-12; b.mp4 20-21"),
    "a dissolve to black": (A + dissolve(new="BL", said=""), "a.mp4 10-12.4; 0.4> gap 1"),
    "a dissolve from black": (
        "001 BL V C 00:00:00:00 00:00:00:00 01:00:00:00 01:00:00:00\n"
        "001 AX V D 010 00:00:10:00 00:00:12:00 01:00:00:00 01:00:02:00\n* TO CLIP NAME: a.mp4\n",
        "gap 0.4; 0.4> a.mp4 10-12",
    ),
    "a dissolve from black, after something": (A + dissolve(old="BL"), "a.mp4 10-12; gap 0.4; 0.4> b.mp4 20-21"),
    "a dissolve from something that was not shown": (
        A
        + dissolve(old="C7", new="C8", said=f"{BOTH.replace('a.mp4', 'c.mp4')}", at="00:00:33:00").replace("AX", "C1"),
        "a.mp4 10-12.4; 0.4> b.mp4 20-21",
    ),
    "reels that were written too soon": (
        A.replace("AX", "C1") + dissolve(old="C2", new="C2"),
        "a.mp4 10-12.4; 0.4> b.mp4 20-21",
    ),
    "a dissolve that overlaps": (
        A + dissolve().replace("01:00:02:00", "01:00:01:15").replace("01:00:03:00", "01:00:02:15"),
        "a.mp4 10-12; 0.4> b.mp4 20-21",
    ),
    "a dissolve of what is fast": (
        f"{A}{dissolve(new='C2')}M2 C2 050.0 00:00:20:00\n",
        "a.mp4 10-12.4; 0.4> b.mp4 20-22 x2",
    ),
    "a dissolve sorted by source": (dissolve() + A, "a.mp4 10-12.4; 0.4> b.mp4 20-21"),
    "a wipe": (A + dissolve("W001 010"), "a.mp4 10-12; b.mp4 20-21"),
}


@pytest.mark.parametrize(("text", "track"), SHOWN.values(), ids=SHOWN)
def test_a_list_shows(tmp_path: Path, text: str, track: str) -> None:
    """Times are seconds of the media; `0.4>` is a dissolve of that length."""
    assert track_of(read(tmp_path, text)) == track


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_list_may_be_written_anyhow(tmp_path: Path, ends: str, encoding: str) -> None:
    text = (A + B).replace("a.mp4", "Müller.mp4").replace("\n", ends)
    imported = read(tmp_path, text.encode(encoding))
    assert track_of(imported) == "Müller.mp4 10-12; b.mp4 20-21"
    assert any("Windows-1252" in note for note in imported.notes) == (encoding == "cp1252")


def test_a_list_is_read_without_opentimelineio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentimelineio", None)  # Python's way to say that a package is not there
    assert track_of(read(tmp_path, A + dissolve())) == "a.mp4 10-12.4; 0.4> b.mp4 20-21"


def test_further_tracks_lie_above(tmp_path: Path) -> None:
    """In the order of their numbers, whatever the order in the list; all on the same clock."""
    upper = B.replace(" V ", " V2 ").replace("01:00:02:00 01:00:03:00", "01:00:00:12 01:00:01:12")
    voice = B.replace(" V ", " A2 ").replace("b.mp4", "voice.wav")
    imported = read(tmp_path, upper + A + voice)
    assert track_of(imported) == "a.mp4 10-12 mute; gap 1"
    assert above(imported) == "b.mp4 20-21 at 0.48; voice.wav 20-21 at 2"


# --- a whole list ---------------------------------------------------------------------------------------------------

WHOLE = """\
TITLE: A talk
FCM: {fcm}

001  AX       AA/V  C        00:00:10{m}00 00:00:15{m}00 01:00:00{m}00 01:00:05{m}00
* FROM CLIP NAME: talk.mp4
002  AX       V     C        00:00:15{m}00 00:00:15{m}00 01:00:05{m}00 01:00:05{m}00
002  AX       V     D    012 00:00:01{m}02 00:00:06{m}02 01:00:05{m}00 01:00:10{m}00
* FROM CLIP NAME: talk.mp4
* TO CLIP NAME: walk.mp4
003  AX       V     C        00:01:50{m}00 00:02:10{m}00 01:00:10{m}00 01:00:20{m}00
M2   AX       {fps}                00:01:50{m}00
* FROM CLIP NAME: fast.mp4
004  BL       V     C        00:00:00{m}00 00:00:01{m}00 01:00:30{m}00 01:00:31{m}00
"""


def test_an_edit_decision_list_is_read(tmp_path: Path) -> None:
    """Record time codes from one hour on are no hour of nothing, and the first clip has its sound."""
    imported = read(tmp_path, WHOLE.format(fcm="NON-DROP FRAME", m=":", fps="050.0"))
    assert imported.timeline.title == "A talk"
    assert imported.timeline.canvas.fps == 25
    talk, walk, fast, empty, black = imported.timeline.track
    assert isinstance(talk, Clip)
    assert isinstance(walk, Clip)
    assert isinstance(fast, Clip)
    assert isinstance(empty, Gap)
    assert isinstance(black, Gap)
    assert (talk.source, talk.in_, talk.out, talk.mute) == ("talk.mp4", 10, 15 + Fraction(12, 25), False)
    assert (walk.source, walk.in_, walk.out, walk.mute) == ("walk.mp4", 1 + Fraction(2, 25), 6 + Fraction(2, 25), True)
    assert walk.transition == Dissolve(kind="dissolve", duration=Fraction(12, 25))
    assert (fast.source, fast.in_, fast.out, fast.speed) == ("fast.mp4", 110, 130, 2)
    assert (empty.duration, black.duration) == (10, 1)
    assert imported.timeline.narration == ()
    assert imported.notes == ()


@pytest.mark.parametrize("mark", [":", ";"])
def test_time_codes_that_drop_frames_are_exact(tmp_path: Path, mark: str) -> None:
    """Two minutes of time codes are 2 × 1800 - 2 frames; the list says so by semicolons, or in words alone."""
    imported = read(tmp_path, WHOLE.format(fcm="DROP FRAME", m=mark, fps="059.94"), rate=None)
    talk, _, fast, *_ = imported.timeline.track
    assert isinstance(talk, Clip)
    assert isinstance(fast, Clip)
    assert talk.in_ == 300 / NTSC
    assert (fast.in_, fast.speed) == ((110 * 30 - 2) / NTSC, pytest.approx(2, abs=1e-5))
    assert imported.timeline.canvas.fps == NTSC
    assert "29.97 frames a second were assumed" in imported.notes[0]


@pytest.mark.parametrize(("frame", "rate"), [("00", 24), ("24", 25), ("29", 30), ("49", 50), ("59", 60)])
def test_the_rate_of_a_list_is_guessed_from_its_frames(tmp_path: Path, frame: str, rate: int) -> None:
    """And said to be guessed; asked for, it is not."""
    line = f"001  AX  V  C  00:00:10:00 00:00:11:{frame} 00:00:00:00 00:00:01:{frame}\n"
    imported = read(tmp_path, line, rate=None)
    assert imported.timeline.canvas.fps == rate
    assert f"{rate} frames a second were assumed" in imported.notes[0]
    assert read(tmp_path, line, rate=Fraction(rate)).notes == ()


def test_tracks_of_a_list_keep_their_distance(tmp_path: Path) -> None:
    """A track that begins later in record time begins later."""
    text = (
        "001  AX  A  C  00:00:10:00 00:00:12:00 01:00:00:00 01:00:02:00\n* FROM CLIP NAME: voice.wav\n"
        "002  AX  V  C  00:00:00:00 00:00:02:00 01:00:03:00 01:00:05:00\n* FROM CLIP NAME: a.mp4\n"
    )
    imported = read(tmp_path, text)
    lead, _ = imported.timeline.track
    assert isinstance(lead, Gap)
    assert lead.duration == 3
    assert imported.timeline.narration[0].start == 0


# --- what is said ----------------------------------------------------------------------------------------------------

SAID = {
    "backwards": (f"{A}M2 AX -025.0 00:00:12:00\n", "a.mp4 10-12", "event 001", "backwards"),
    "backwards, from its end": (
        f"{A.replace('00:00:10:00 00:00:12:00', '00:00:12:00 00:00:10:00')}M2 AX -025.0 00:00:12:00\n",
        "a.mp4 10-12",
        "event 001",
        "backwards",
    ),
    "too fast": (f"{A}M2 AX 250.0 00:00:10:00\n", "a.mp4 10-18 x4", "event 001", "10 times"),
    "a speed that is none": (f"{A}M2 AX fast\n", "a.mp4 10-12", "event 001", "“M2 AX fast”"),
    "no speed": (A.replace("12:00", "13:00"), "a.mp4 10-12", "event 001", "3 s of its source"),
    "a wipe": (A + dissolve("W001 010"), "a.mp4 10-12; b.mp4 20-21", "event 002", "wipe"),
    "a key": (
        f"{A}{B.replace(' C ', ' K 000 ').replace('FROM', 'KEY')}",
        "a.mp4 10-12",
        "event 002",
        "keyed",
    ),
    "too long a dissolve": (A + dissolve("D 050"), "a.mp4 10-13; 1> b.mp4 20-21", "event 002", "shortened to 1"),
    "no track": (A + B.replace(" V ", " NONE "), "a.mp4 10-12", "event 002", "no track"),
    "no known track": (A + B.replace(" V ", " X9 "), "a.mp4 10-12", "event 002", "“X9”"),
    "colour bars": (A + B.replace("AX", "BARS"), "a.mp4 10-12; gap 1", "event 002", "colour bars"),
    "recorded over": (
        A + B.replace("01:00:02:00 01:00:03:00", "01:00:01:00 01:00:02:00"),
        "a.mp4 10-11; b.mp4 20-21",
        "event 001",
        "event 002",
        "1 s",
    ),
    "covered": (
        B.replace("01:00:02:00 01:00:03:00", "01:00:00:00 01:00:01:00") + A,
        "a.mp4 10-12",
        "event 001",
        "event 002",
        "not shown",
    ),
    "no length": (
        A + B.replace("01:00:03:00", "01:00:02:00").replace(" C ", " D 010 "),
        "a.mp4 10-12",
        "event 002",
        "no length",
    ),
    "a grade": (f"{A}* ASC_SOP (1 1 1) (0 0 0) (1 1 1)\n", "a.mp4 10-12", "event 001", "ASC_SOP"),
    "an effect": (f"{A}EFFECTS NAME IS BLUR\n", "a.mp4 10-12", "event 001", "BLUR"),
    "a level": (f"{A}* AUDIO LEVEL AT 00:00:00:00 IS -6.00 DB  (REEL AX A1)\n", "a.mp4 10-12", "event 001", "LEVEL"),
    "a marker": (f"{A}* LOC: 01:00:01:00 RED     MIND THIS\n", "a.mp4 10-12", "event 001", "MIND THIS"),
    "dropped frames at 25": (f"FCM: DROP FRAME\n{A}", "a.mp4 10-12", "drop frames", "25"),
}


@pytest.mark.parametrize(("text", "track", "said"), [(t, track, said) for t, track, *said in SAID.values()], ids=SAID)
def test_what_a_list_shows_differently_is_said(tmp_path: Path, text: str, track: str, said: list[str]) -> None:
    """In one note, which names the event by its number."""
    imported = read(tmp_path, text)
    assert track_of(imported) == track
    assert any(all(word.lower() in note.lower() for word in said) for note in imported.notes), imported.notes


@pytest.mark.parametrize("remarks", ["", "EFFECTS NAME IS CROSS DISSOLVE\n* COMMENT: x\n", "* BLEND, DISSOLVE\n"])
def test_what_is_shown_as_it_is_needs_no_note(tmp_path: Path, remarks: str) -> None:
    assert read(tmp_path, A + dissolve(said=BOTH + remarks)).notes == ()


REFUSED = {
    "no events": ("TITLE: nothing\n", "“edit” is not an edit decision list"),
    "no list": ("\0\xff", "“edit” is not an edit decision list"),
    "a line of something else": (f"{A}002 x\n", "line 3, event 002", "four time codes", "'002 x'"),
    "three time codes": (A.replace(" 01:00:02:00", ""), "line 1, event 001", "four time codes"),
    "an unknown transition": (A.replace(" C ", " X "), "line 1, event 001"),
    "no such second": (A.replace("00:00:12:00", "00:00:72:00"), "line 1, event 001: 00:00:72:00 is not a time code"),
    "no such frame": (A.replace("00:00:12:00", "00:00:12:29"), "event 001", "at 25 frames a second", "--rate"),
    "an end before the start": (A.replace("00:00:12:00", "00:00:02:00"), "event 001", "its reel's second time code"),
    "a programme that runs back": (A.replace("01:00:02:00", "00:59:59:00"), "event 001", "the programme's second"),
    "sound alone": (A.replace(" V ", " A "), "no video track"),
    "a number without end": ("1" * 5000 + A, "line 1, event 1111", "four time codes"),
    "frames without end": (A.replace("00:00:12:00", "9" * 400), "line 1, event 001"),
}


@pytest.mark.parametrize(("text", "said"), [(text, said) for text, *said in REFUSED.values()], ids=REFUSED)
def test_a_list_that_cannot_be_right_is_refused(tmp_path: Path, text: str, said: list[str]) -> None:
    """By a sentence that names the line and the event."""
    message = refusal(tmp_path, text)
    assert all(word in message for word in said), message


def test_all_broken_lines_are_told_at_once(tmp_path: Path) -> None:
    message = refusal(
        tmp_path, A.replace("00:00:12:00", "00:00:72:00") + "002 x\n" + B.replace(" C ", " Y ").replace("002", "003")
    )
    assert [line.split(":")[0].strip() for line in message.splitlines()[1:]] == [
        "line 1, event 001",
        "line 3, event 002",
        "line 4, event 003",
    ]


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_list_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    """No other exception comes out of twenty damaged copies of a list with everything in it."""
    dice = random.Random(seed)
    text = "".join([*(each for each, _ in SHOWN.values()), *(each[0] for each in SAID.values())])
    for _ in range(20):
        letters = list(text)
        for _ in range(dice.choice((1, 10, 200))):
            letters[dice.randrange(len(letters))] = dice.choice(" 0123456789:;.-*MDKVA\n\tx\0é/=")
        with contextlib.suppress(RequestError):
            read(tmp_path, "".join(letters))


@pytest.mark.parametrize(
    "text",
    [
        "001 " + " " * 500_000 + A,
        f"{A}M2 {' ' * 500_000}x\n",
        f"{A}* FROM CLIP NAME: {' x' * 200_000}\n",
        "".join(A.replace("001", str(number)) for number in range(9_000)),
    ],
)
def test_a_long_list_is_answered_soon(tmp_path: Path, text: str) -> None:
    def answer() -> None:
        with contextlib.suppress(RequestError):
            read(tmp_path, text)

    assert cpu_seconds(answer) < 10


# --- media and its time code -----------------------------------------------------------------------------------------

HOUR = {"a.mp4": media(20, timecode="01:00:00:00")}


def from_hour(start: str, end: str) -> str:
    """An event whose source times are 01:00:… ones."""
    return A.replace("00:00:10:00", f"01:00:{start}").replace("00:00:12:00", f"01:00:{end}")


def test_the_time_code_of_a_file_is_subtracted(tmp_path: Path) -> None:
    imported = read(tmp_path, from_hour("05:00", "07:00"), library=library(HOUR))
    assert (track_of(imported), imported.notes, imported.faults) == ("a.mp4 5-7", (), ())


def test_a_list_may_count_from_zero_all_the_same(tmp_path: Path) -> None:
    imported = read(tmp_path, A, library=library(HOUR))
    assert (track_of(imported), imported.faults) == ("a.mp4 10-12", ())
    assert "counted from zero" in imported.notes[0]


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("20:00", "22:00", "begins at 01:00:20:00, but a.mp4 lasts from 01:00:00:00 to 01:00:20:00"),
        ("19:00", "21:00", "ends at 01:00:21:00, but a.mp4 lasts from 01:00:00:00 to 01:00:20:00"),
    ],
)
def test_what_is_not_in_a_file_is_a_fault(tmp_path: Path, start: str, end: str, said: str) -> None:
    """Which names both by their time codes, and stands where the event went."""
    [fault] = read(tmp_path, B + from_hour(start, end), library=library(HOUR | {"b.mp4": media()})).faults
    assert (fault.path, fault.message) == ("$.track[0]", said)


def test_a_file_without_time_code_begins_at_zero(tmp_path: Path) -> None:
    [fault] = read(tmp_path, from_hour("05:00", "07:00"), library=library({"a.mp4": media(20)})).faults
    assert fault.message == (
        "begins at 01:00:05:00, but a.mp4 lasts from 00:00:00:00 to 00:00:20:00, as no time code of its own is known"
    )


@pytest.mark.parametrize(
    ("fps", "timecode", "rate", "list_start", "seconds"),
    [
        (25, "10:00:00:05", 25, "10:00:01:05", Fraction(1)),
        (50, "10:00:00:10", 25, "10:00:01:05", Fraction(1)),
        (24_000 / 1001, "01:00:00:00", 24, "01:00:01:00", Fraction(1)),
        (24_000 / 1001, "01:00:00:00", Fraction(24_000, 1001), "01:00:01:00", Fraction(1001, 1000)),
        (30_000 / 1001, "01:00:00;00", NTSC, "01:01:00;02", 1800 / NTSC),
        (60_000 / 1001, "00:09:59;58", 2 * NTSC, "00:10:00;00", 2 / (2 * NTSC)),
    ],
)
def test_time_codes_are_counted_as_they_are_meant(
    tmp_path: Path, fps: float, timecode: str, rate: Fraction, list_start: str, seconds: Fraction
) -> None:
    """By labels of the list's rate, dropped ones left out, if the file has another rate or not."""
    text = f"001 AX V C {list_start} 10:59:00:00 00:00:00:00 00:00:01:00\n* FROM CLIP NAME: a.mp4\n"
    known = library({"a.mp4": media(200, fps=fps, timecode=timecode)})
    [only] = read(tmp_path, text, rate=Fraction(rate), library=known).timeline.track
    assert isinstance(only, Clip)
    assert only.in_ == seconds


@pytest.mark.parametrize(
    ("code", "rate"),
    [("01:02:03:04", Fraction(25)), ("01:00:00;02", NTSC), ("00:10:00;00", NTSC), ("00:09:59;59", 2 * NTSC)],
)
def test_a_time_code_comes_back_as_it_was(code: str, rate: Fraction) -> None:
    label = read_code(code)
    assert label is not None
    assert shown_code(label.counted(rate, drops=label.drops) / rate, rate, drops=label.drops) == code


def test_every_frame_has_a_label_of_its_own() -> None:
    """For eleven minutes of drop-frame time code, and back."""
    labels = [shown_code(frame / NTSC, NTSC, drops=True) for frame in range(20_000)]
    assert len(set(labels)) == len(labels)
    codes = [read_code(label) for label in labels]
    assert [code and code.counted(NTSC, drops=True) for code in codes] == list(range(20_000))
    assert labels[1799:1801] == ["00:00:59;29", "00:01:00;02"]
    assert labels[17_982] == "00:10:00;00"


def test_a_dissolve_is_as_long_as_the_media_reaches(tmp_path: Path) -> None:
    """The list's own handles are known once the file is."""
    known = library({"a.mp4": media(12.2), "b.mp4": media()})
    imported = read(tmp_path, A + dissolve(), library=known)
    assert track_of(imported) == "a.mp4 10-12.2; 0.2> b.mp4 20-21"
    assert "The dissolve into event 002 (“b.mp4”) of 0.4 s" in imported.notes[0]


def test_the_rate_of_a_list_is_that_of_its_media(tmp_path: Path) -> None:
    """If all have the same, and the list's time codes fit; it is noted."""
    imported = read(tmp_path, A, rate=None, library=library({"a.mp4": media()}))
    assert imported.timeline.canvas.fps == 25
    assert "25 frames a second" in imported.notes[0]
    two = library({"a.mp4": media(fps=25), "b.mp4": media(fps=50)})
    assert read(tmp_path, A + B, rate=None, library=two).timeline.canvas.fps == 24
    higher = A.replace("00:00:10:00", "00:00:10:27")
    assert read(tmp_path, higher, rate=None, library=library({"a.mp4": media()})).timeline.canvas.fps == 30
    assert canvas_fps(imported.timeline, {"a.mp4": media()}) == 25


def test_media_is_found_by_the_reel(tmp_path: Path) -> None:
    """Or by the clip, or the file: by the first that there is."""
    reel = A.splitlines()[0].replace("AX", "C25")
    assert track_of(read(tmp_path, reel, library=library({"C25.mov": media()}))) == "C25.mov 10-12"
    named = f"{reel}\n* FROM CLIP NAME: interview, take 2\n* SOURCE FILE: D:\\x\\gone.mov\n"
    imported = read(tmp_path, named, library=library({"C25.mov": media()}))
    assert track_of(imported) == "C25.mov 10-12"
    assert imported.places == {"$.track[0]": "event 001 (“gone.mov”)"}
    assert track_of(read(tmp_path, named, library=library({"interview, take 2.mp4": media()}))).startswith("interview")


def test_a_reel_may_be_said_to_be_an_upload(tmp_path: Path) -> None:
    """That wins over what the list says; a name that is not in the list is refused."""
    reel = A.splitlines()[0].replace("AX", "C25")
    known = {"talk.mp4": media(), "C25.mov": media()}
    assert track_of(read(tmp_path, reel, library=library(known, {"c25": "talk.mp4"}))) == "talk.mp4 10-12"
    with pytest.raises(RequestError, match="No clip of “edit” has the name or the reel 'C26'"):
        read(tmp_path, reel, library=library(known, {"C26": "talk.mp4"}))


def test_parts_are_called_by_their_events(tmp_path: Path) -> None:
    """On every kind of track."""
    upper = B.replace(" V ", " V2 ")
    voice = A.replace("001", "007").replace(" V ", " A ").replace("a.mp4", "voice.wav")
    assert read(tmp_path, A + upper + voice).places == {
        "$.track[0]": "event 001 (“a.mp4”)",
        "$.layers[0]": "event 002 (“b.mp4”)",
        "$.narration[0]": "event 007 (“voice.wav”)",
    }
