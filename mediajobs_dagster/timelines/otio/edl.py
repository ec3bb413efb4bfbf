"""Reads edit decision lists (CMX 3600).

A list is made of numbered events. Each says which part of which reel is put where in the programme:

    002  AX       V     C        00:00:15:00 00:00:15:00 01:00:05:00 01:00:05:00
    002  B17      V     D    012 00:00:01:02 00:00:06:02 01:00:05:00 01:00:10:00
    M2   B17      050.0                00:00:01:02
    * FROM CLIP NAME: talk.mp4
    * TO CLIP NAME: walk.mp4

The lines of a transition have the same number, the outgoing one first. Programs put names, speeds and whatever a list
has no words for into remarks. Lists come in any order, and in any encoding. Here they become events; `edl_tracks` lays
them out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby
from pathlib import PureWindowsPath

from mediajobs_dagster.errors import RequestError
from mediajobs_dagster.fault_lists import listed
from mediajobs_dagster.timelines.otio.notes import Notes, quoted
from mediajobs_dagster.timelines.otio.time_codes import TimeCode, can_drop, nominal, read_code

_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_TIME = r"\s+(\d{1,2}[:;.,]\d\d[:;.,]\d\d[:;.,]\d{2,3}|\d{1,9})"
_EVENT = re.compile(
    rf"(\d{{1,9}})\s+(.+?)\s+(\S+)\s+(C|D|W\d*|K\s*[BO]?)(?:\s+(\d{{1,6}})F?)?{_TIME * 4}(?:\s.*)?", re.IGNORECASE
)
_SPEED = r"[+-]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})"
_MOTION = re.compile(rf"M2\s+(?:(.*?)\s+)?({_SPEED})(?:\s+(\S*[:;.,]\S*))?", re.IGNORECASE)
_NAME = re.compile(
    r"\*?\s*(FROM CLIP NAME|TO CLIP NAME|KEY CLIP NAME|CLIP NAME|FROM CLIP|TO CLIP|FROM FILE|TO FILE|SOURCE FILE|"
    r"OTIO REFERENCE FROM|OTIO REFERENCE TO)\s*:\s*(.*)",
    re.IGNORECASE,
)
_MARKER = re.compile(r"\*?\s*LOC:?\s+(\S+)\s*(.*)", re.IGNORECASE)
_STILL = re.compile(r"\*\s*\*?\s*FREEZE FRAME", re.IGNORECASE)
_NOT_SHOWN = re.compile(
    r"\b(EFFECTS?|ASC_SOP|ASC_SAT|LEVEL|GAIN|OPACITY|TIMEWARP|PAN|FILTER|RESIZE|BLEND|SUPERIMPOSE|MATTE)\b",
    re.IGNORECASE,
)
_SAYS_DISSOLVE = re.compile(r"DISSOLVE|FADE", re.IGNORECASE)
_NO_EVENT = "an event has a number, a reel, a track, a transition and four time codes"
_ADDED = re.compile(r"\s+(FF|\(\s*-?[\d.]+ FPS\))\s*$", re.IGNORECASE)
"""What programs add to the name of a clip that is frozen or retimed."""
_TRACK = re.compile(r"[VA]\d*")
_MORE_SOUND = re.compile(r"AUD((?:\s+\d{1,3})+)", re.IGNORECASE)
_IS_MOTION = re.compile(r"M2\b", re.IGNORECASE)
_SHORT = {"B": ("V", "A"), "AA": ("A", "A2"), "NONE": ()}
_NO_REEL = ("AX", "")
BLACK = ("BL", "BLACK")
"""Reels that are no media but black."""
_LONGEST = 1000
"""Characters of a line. More are no event, and the rest of a remark says nothing that could be used."""
_SLACK = 3600
"""Seconds that may lie beyond midnight in one event."""
_DAY = 86_400
_Fault = tuple[int, str, str]
"""A line, its event, and what is wrong."""


@dataclass(frozen=True)
class Event:
    """One line of a list. Times are seconds; those of its reel are counted from 00:00:00:00."""

    number: str
    reel: str
    tracks: tuple[str, ...]
    """V, V2, A, A2 and so on; empty: none."""
    kind: str
    """C: cut, D: dissolve, W: wipe, K: key, KB: what is behind a key."""
    transition: Fraction
    """How long the transition lasts."""
    source: tuple[Fraction, Fraction]
    record: tuple[Fraction, Fraction]
    """Where it is put."""
    drops: bool
    speed: Fraction | None = None
    """1 is normal, 0 a still, below 0 backwards; None: the list does not say."""
    names: tuple[str, ...] = ()
    """What its media may be called: file, clip, reel; the first is the most exact one."""

    @property
    def name(self) -> str:
        """How notes and faults call it."""
        media = PureWindowsPath(self.names[0]).name if self.names else ""  # it knows both kinds of slashes
        return f"event {self.number} ({quoted(media)})" if media else f"event {self.number}"


@dataclass(frozen=True)
class EventList:
    """A list, as it is written."""

    title: str
    rate: Fraction
    """Frames a second."""
    events: Sequence[Event]


@dataclass
class _Line:
    """One line of an event, with the remarks that follow it."""

    place: int
    fields: re.Match[str]
    drops: bool
    remarks: list[str] = field(default_factory=list[str])

    @property
    def number(self) -> str:
        return self.fields[1]

    @property
    def kind(self) -> str:
        kind = "".join(self.fields[4].split()).upper()
        return kind[0] if kind != "KB" else kind

    @property
    def reel(self) -> str:
        return self.fields[2]

    @property
    def times(self) -> tuple[str, ...]:
        return self.fields.group(6, 7, 8, 9)


def decoded_list(content: bytes, notes: Notes) -> str:
    """The text of a list: UTF-8, UTF-16 with a byte order mark, or else what Windows programs write."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        notes.add("The list is not in UTF-8: its names were read as Windows-1252.")
        return content.decode("cp1252", errors="replace")


def read_list(text: str, rate: Fraction | None, called: str, notes: Notes) -> EventList:
    """The events of a list in the order of the text; without `rate` it is guessed, with a note.

    `called` is its name in messages, and its title if it has none. Raises RequestError, which lists all lines that
    cannot be understood.
    """
    title, lines, faults = _lines_of(text)
    if not lines and not faults:
        raise RequestError(f"“{called}” is not an edit decision list: it has no events.")
    drops = any(line.drops for line in lines)
    if rate is None:
        rate = _guessed(lines, drops=drops)
        shown = f"{float(rate):.2f}".removesuffix(".00")
        notes.add(f"An edit decision list does not contain its frame rate: {shown} frames a second were assumed.")
    elif drops and not can_drop(rate):
        notes.add(f"The list says that its time codes drop frames. At {float(rate):g} frames a second none do.")
    events: list[Event] = []
    for _, group in groupby(lines, key=lambda line: int(line.number)):
        events += _events_of(list(group), rate, faults, notes)
    if faults:
        told = (f"line {place}, event {number}: {said}" for place, number, said in sorted(faults))
        raise RequestError(f"“{called}” cannot be read:\n  " + listed(told, "\n  "))
    return EventList(title or called, rate, events)


def _lines_of(text: str) -> tuple[str, list[_Line], list[_Fault]]:
    """The title, the lines of events, and faults."""
    title, drops = "", False
    lines: list[_Line] = []
    faults: list[_Fault] = []
    for place, line in enumerate((each.strip() for each in _LINE_ENDS.split(text)), start=1):
        if line.upper().startswith("TITLE:"):
            title = title or line[len("TITLE:") :].strip()
        elif line.upper().startswith("FCM"):
            drops = "DROP" in line.upper() and "NON" not in line.upper()
        elif line[:1].isdecimal() and line[:1].isascii():
            if found := _EVENT.fullmatch(line) if len(line) <= _LONGEST else None:
                lines.append(_Line(place, found, drops or ";" in "".join(found.group(6, 7, 8, 9))))
            else:
                faults.append((place, line.split()[0][:20], f"{_NO_EVENT}, but this is {line[:80]!r}"))
        elif line and lines:
            lines[-1].remarks.append(line[:_LONGEST].rstrip())
    return title, lines, faults


def _guessed(lines: Sequence[_Line], *, drops: bool) -> Fraction:
    """The lowest usual rate whose time codes have a frame of the highest number in the list."""
    codes = (read_code(time) for line in lines for time in line.times)
    highest = max((code.frames for code in codes if code), default=Fraction(0))
    if drops:  # only at 29.97 and 59.94
        return Fraction(60_000 if highest >= 30 else 30_000, 1001)
    return Fraction(next((rate for rate in (24, 25, 30, 50) if highest < rate), 60))


# --- events ----------------------------------------------------------------------------------------------------------


def _events_of(lines: Sequence[_Line], rate: Fraction, faults: list[_Fault], notes: Notes) -> Iterator[Event]:
    """The events of lines with the same number, which share the remarks below them."""
    for index, line in enumerate(lines):
        remarks = next((each.remarks for each in lines[index:] if each.remarks), list[str]())
        try:
            yield _event(line, lines, remarks, rate, notes)
        except ValueError as error:  # raised below, with a sentence
            faults.append((line.place, line.number, str(error)))
    for line in lines:
        _note_remarks(line, any(each.kind == "D" for each in lines), notes)


def _event(line: _Line, group: Sequence[_Line], remarks: Sequence[str], rate: Fraction, notes: Notes) -> Event:
    speed = _speed(line, group, remarks, rate, notes)
    drops = line.drops and can_drop(rate)
    begin, end, start, stop = (_seconds(time, rate, drops=drops) for time in line.times)
    if end < begin and speed is not None and speed < 0:
        begin, end = end, begin  # some write where it begins to play backwards first
    names = _names(line, remarks)
    return Event(
        number=line.number,
        reel=line.reel,
        tracks=_tracks(line, remarks, notes),
        kind=line.kind,
        transition=Fraction(int(line.fields[5] or 0)) / rate,
        source=_after(begin, end, "its reel's"),
        record=_after(start, stop, "the programme's"),
        drops=drops,
        speed=speed,
        names=names or (() if line.reel in BLACK else (line.reel,)),
    )


def _seconds(text: str, rate: Fraction, *, drops: bool) -> Fraction:
    """The time of a time code, or of the number of a frame. Raises ValueError."""
    if text.isdecimal():
        return int(text) / rate
    code: TimeCode | None = read_code(text)
    if code is None:
        raise ValueError(f"{text} is not a time code")
    if code.frames >= nominal(rate):
        raise ValueError(
            f"{text} is not a time code at {float(rate):g} frames a second; give the list's rate by --rate"
        )
    return code.counted(rate, drops=drops) / rate


def _after(begin: Fraction, end: Fraction, whose: str) -> tuple[Fraction, Fraction]:
    """The times, the second of which may lie beyond midnight. Raises ValueError."""
    if end >= begin:
        return begin, end
    if end + _DAY - begin <= _SLACK:
        return begin, end + _DAY
    raise ValueError(f"{whose} second time code is before the first one")


def _tracks(line: _Line, remarks: Sequence[str], notes: Notes) -> tuple[str, ...]:
    tracks: list[str] = []
    for part in line.fields[3].upper().split("/"):
        known = _SHORT.get(part)
        if known is None:
            known = tuple(_TRACK.findall(part)) if re.fullmatch(r"(?:[VA]\d*)+", part) else None
        if known is None:
            notes.add(f"event {line.number} is on the track {quoted(part)}, which is neither picture nor sound.")
        tracks += known or ()
    more = (_MORE_SOUND.fullmatch(remark) for remark in remarks)
    tracks += [f"A{channel}" for each in more if each for channel in each[1].split()]
    if not tracks:
        notes.add(f"event {line.number} is on no track and left out.")
    return tuple("V" if track == "V1" else track for track in tracks)


# --- remarks ---------------------------------------------------------------------------------------------------------


def _names(line: _Line, remarks: Sequence[str]) -> tuple[str, ...]:
    """What the media of a line may be called, the most exact name first."""
    said: dict[str, str] = {}
    for remark in remarks:
        if found := _NAME.fullmatch(remark):
            said.setdefault(" ".join(found[1].upper().split()), found[2].strip())
    is_next = line.kind in ("D", "W")
    kinds = (
        *(("OTIO REFERENCE TO", "TO FILE", "TO CLIP", "TO CLIP NAME") if is_next else ()),
        *(("OTIO REFERENCE FROM", "FROM FILE", "FROM CLIP", "SOURCE FILE", "FROM CLIP NAME", "CLIP NAME")),
    )
    if is_next and any(kind.startswith("TO ") or kind.endswith(" TO") for kind in said):
        kinds = kinds[:4]
    names = [said[kind] for kind in kinds if said.get(kind)]
    names += [plain for name in names if (plain := _ADDED.sub("", name)) != name]
    if line.reel not in (*_NO_REEL, *BLACK):
        names.append(line.reel)
    return tuple(dict.fromkeys(names))


def _speed(
    line: _Line, group: Sequence[_Line], remarks: Sequence[str], rate: Fraction, notes: Notes
) -> Fraction | None:
    """The speed that remarks give for a line of a group."""
    motions = [remark for remark in remarks if _IS_MOTION.match(remark)]
    if not motions:
        return Fraction(0) if any(_STILL.match(remark) for remark in remarks) else None
    speeds: list[Fraction] = []
    for remark in motions:
        found = _MOTION.fullmatch(remark)
        if found is None:
            notes.add(f"event {line.number} has a speed that cannot be read, and has its normal one: {quoted(remark)}.")
        elif line in _meant(found, group):
            speeds.append(_scale(Fraction(found[2]), rate))
    return speeds[-1] if speeds else None


def _meant(motion: re.Match[str], group: Sequence[_Line]) -> Sequence[_Line]:
    """The lines that a speed is for: it names their reel, and where in it they begin."""
    fit = [line for line in group if line.reel.casefold() == (motion[1] or "").casefold()] or group
    return [line for line in fit if line.times[0] == motion[3]] or fit


def _scale(frames: Fraction, rate: Fraction) -> Fraction:
    """How many times faster it is to show so many frames a second.

    Some programs write frames of the true rate, some of the nominal one: whole percents tell them apart.
    """
    by_name = frames / nominal(rate)
    return by_name if (by_name * 100).denominator == 1 else Fraction(str(round(float(frames / rate), 6)))


def _note_remarks(line: _Line, dissolves: bool, notes: Notes) -> None:
    """Note what the remarks say that is not shown."""
    for remark in line.remarks:
        if _NAME.fullmatch(remark) or _STILL.match(remark) or _IS_MOTION.match(remark):
            continue
        if found := _MARKER.fullmatch(remark):
            notes.add(f"the marker {quoted(found[2].strip())} on event {line.number} is left out.")
        elif _NOT_SHOWN.search(remark) and not (dissolves and _SAYS_DISSOLVE.search(remark)):
            notes.add(f"event {line.number}: {quoted(remark.lstrip('* '))} is not shown.")
