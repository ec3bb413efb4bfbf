"""Where times begin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.zoo.making import AAC, COPY, H264, NO_RUN_IN, PICTURE, PLAIN, PROMPT, SECONDS, SOUND, Maker, frames
from tests.zoo.truth import Case, Make, Picture, Sound, Truth, beeps_of, steady, without

GROUP = "Where it begins"


def _from(seconds: float, *options: str, beginnings: tuple[float, ...] = (0.0,)) -> Make:
    """All times of the file are that much larger."""

    def make(maker: Maker, path: Path) -> Truth:
        maker.run(*maker.both(), *COPY, *options, "-output_ts_offset", str(seconds), path)
        return replace(PLAIN, beginnings=beginnings)

    return make


def _late_sound(seconds: float, *options: str) -> Make:
    def make(maker: Maker, path: Path) -> Truth:
        late = ("-itsoffset", str(seconds), "-i", maker.aac())
        maker.run("-i", maker.film(), *late, "-map", "0:v", "-map", "1:a", *COPY, *options, path)
        return Truth(PICTURE, Sound(beeps_of(SECONDS, seconds), SECONDS + seconds))

    return make


def _late_picture(seconds: float, *options: str) -> Make:
    def make(maker: Maker, path: Path) -> Truth:
        late = ("-itsoffset", str(seconds), "-i", maker.film())
        maker.run("-i", maker.aac(), *late, "-map", "1:v", "-map", "0:a", *COPY, *options, path)
        return Truth(Picture(steady(100, begin=seconds), SECONDS + seconds), SOUND)

    return make


def _late_in_stream(maker: Maker, path: Path) -> Truth:
    """Packets of the sound before 1.5 s are dropped: its times are in the stream, not in a header."""
    dropped = ("-bsf:a", r"noise=drop=lt(pts*tb\,1.4999)")
    maker.run(*maker.both(), *COPY, *dropped, *PROMPT, path)
    return Truth(PICTURE, Sound(without(SOUND.beeps, 0, 1.5), SECONDS))


def _trimmed(maker: Maker, path: Path) -> Truth:
    """Cut at 1.12 s without encoding anew: an edit list hides what lies between the key frame and there."""
    maker.run("-ss", "1.12", *maker.both()[:2], "-ss", "1.12", *maker.both()[2:], *COPY, path)
    beeps = tuple(beep - 1.12 for beep in SOUND.beeps if beep > 1.12)
    return Truth(Picture(steady(72, first=28), 2.88), Sound(beeps, 2.88))


def _trimmed_by_a_player(maker: Maker, path: Path) -> Truth:
    """The same of pictures alone, one key frame at 0."""
    long = maker.once("one_key.mp4", lambda part: maker.encode(part, frames(100), *H264, "-g", "300"))
    maker.run("-ss", "2.4", "-i", long, *COPY, path)
    return Truth(Picture(steady(40, first=60), 1.6), None)


def _hole(start: float, end: float, *options: str) -> Make:
    """Packets of the sound are missing between two times."""

    def make(maker: Maker, path: Path) -> Truth:
        missing = rf"noise=drop=lt(pts\,0)+between(pts*tb\,{start}\,{end})"
        maker.run(*maker.both(), *COPY, "-bsf:a", missing, *options, path)
        return replace(PLAIN, sound=replace(SOUND, beeps=without(SOUND.beeps, start, end)))

    return make


def _many_holes(maker: Maker, path: Path) -> Truth:
    """Every fifth packet of 20 ms is missing, as on a bad line; and none that has a beep."""
    audible = "+".join(rf"between(pts*tb\,{beep - 0.06:.2f}\,{beep + 0.08:.2f})" for beep in SOUND.beeps)
    missing = rf"noise=drop=not(mod(n\,5))*not({audible})*gt(n\,0)"
    vp8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "3M")
    maker.encode(path, frames(100), *vp8, "-c:a", "libopus", "-bsf:a", missing, inputs=("-i", maker.wav()))
    return PLAIN


def _camera_hour(maker: Maker, path: Path) -> Truth:
    maker.encode(path, frames(100), *H264, *AAC, "-timecode", "01:00:00:00", inputs=("-i", maker.wav()))
    return PLAIN


def _late_frames_before(maker: Maker, path: Path) -> Truth:
    """Frames in the stream that lie before the sound's beginning by a fraction of a frame."""
    late = ("-itsoffset", "0.013", "-i", maker.aac())
    maker.run("-i", maker.film(), *late, "-map", "0:v", "-map", "1:a", *COPY, path)
    return Truth(PICTURE, Sound(beeps_of(SECONDS, 0.013), SECONDS + 0.013))


_FAR = (
    "Times that do not begin at 0: at 10 s, at an hour, or just before a clock that wraps around",
    "What matters is the time since the beginning; whatever a clock says is not.",
)
_SOUND = (
    "Sound begins later than the picture",
    "The envelope is silent until then; proxy and export keep sync.",
)
_PICTURE = (
    "The picture begins later than the sound",
    "The sound begins at once; until the picture comes, its first frame or black is seen. Both keep sync.",
)
_EDITED = ("Trimmed without being encoded anew (edit lists)", "What the edit list hides is neither seen nor heard.")
_HOLES = (
    "Sound with holes: packets lost on a line, a recorder that paused",
    "Holes are silence, and what follows stays in sync.",
)
_CLOCK = ("A camera's time code", "It is ignored; edit decision lists are counted from it.")

CASES = (
    Case("from_10.ts", GROUP, *_FAR, _from(10, *NO_RUN_IN, *PROMPT)),
    Case("from_3600.ts", GROUP, *_FAR, _from(3600, *NO_RUN_IN, *PROMPT)),
    Case("wrapping.ts", GROUP, *_FAR, _from(95441.5, *NO_RUN_IN, *PROMPT)),
    Case("from_10.mkv", GROUP, *_FAR, _from(10, *NO_RUN_IN)),
    Case("from_3600.mkv", GROUP, *_FAR, _from(3600, *NO_RUN_IN)),
    Case("from_3600.flv", GROUP, *_FAR, _from(3600, *NO_RUN_IN)),
    Case(
        "fragments_from_3600.mp4",
        GROUP,
        *_FAR,
        _from(3600, "-movflags", "frag_keyframe+empty_moov+default_base_moof", *NO_RUN_IN, beginnings=(0.08, 0.0)),
    ),
    Case("sound_late_0.5.mp4", GROUP, *_SOUND, _late_sound(0.5)),
    Case("sound_late_1.5.mp4", GROUP, *_SOUND, _late_sound(1.5)),
    Case("sound_late_1.5.mkv", GROUP, *_SOUND, _late_sound(1.5)),
    Case("sound_late_1.5.ts", GROUP, *_SOUND, _late_in_stream),
    Case("sound_late_0.013.mp4", GROUP, *_SOUND, _late_frames_before),
    Case("picture_late_1.5.mp4", GROUP, *_PICTURE, _late_picture(1.5)),
    Case("picture_late_0.5.mkv", GROUP, *_PICTURE, _late_picture(0.5, *NO_RUN_IN)),
    Case("picture_late_1.5.ts", GROUP, *_PICTURE, _late_picture(1.5, *NO_RUN_IN, *PROMPT)),
    Case("trimmed.mp4", GROUP, *_EDITED, _trimmed),
    Case("trimmed_far_from_key.mp4", GROUP, *_EDITED, _trimmed_by_a_player),
    Case("hole.mkv", GROUP, *_HOLES, _hole(1.2, 2.2)),
    Case("hole.mp4", GROUP, *_HOLES, _hole(1.2, 2.2)),
    Case("hole.ts", GROUP, *_HOLES, _hole(1.2, 2.2, *PROMPT)),
    Case("many_holes.webm", GROUP, *_HOLES, _many_holes),
    Case("hour.mov", GROUP, *_CLOCK, _camera_hour),
)
