"""The sound of an export: everything that speaks, the music under it, and the mix of both.

Sound is counted in samples from the frames it belongs to, so it cannot drift from the picture. What does not overlap
shares a lane: silence, a piece, silence, a piece. A lane is read as it is played, while a delay filter would make all
of its silence at once; and there are as many lanes to mix as pieces sound at the same time, not as many as there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.video_export.graph import Graph, decimal
from mediajobs_dagster.job_types.video_export.loudness import UNASKED_PEAK_DB, Measured
from mediajobs_dagster.job_types.video_export.reading import Readers, lead, run_in, seek
from mediajobs_dagster.media.command import Input
from mediajobs_dagster.timelines.layout import Layout, Segment, sound_length, used_part
from mediajobs_dagster.timelines.model import Clip, Music, Narration, Timeline, VideoLayer
from mediajobs_dagster.timelines.times import SAMPLE_RATE, exact, snap

_FORM = f"aformat=sample_fmts=fltp:sample_rates={SAMPLE_RATE}:channel_layouts=stereo"
_SILENCE = f"anullsrc=r={SAMPLE_RATE}:cl=stereo"
_FADE_S = 0.35
_WINDOW = 2048
"""What `atempo` works with at our rate, samples: a 24th of a second, rounded up to a power of two."""
_AHEAD_SLOWED, _AHEAD_SPED_UP = Fraction(27, 100), Fraction(1, 8)
"""How far `atempo` runs ahead in its source, in windows; see `_ahead`."""

# Brings speech of any level to a steady one, and everything below a whisper to nothing: what the compressors of the
# music listen to. With 20:1 above -42 dB and 41 dB of make-up, speech of -36 dB and more arrives at 1 to -1 dB.
_KEY = (
    "agate=threshold=0.01:ratio=9000:range=0:attack=5:release=300",
    "acompressor=threshold=0.0079:ratio=20:attack=5:release=200:makeup=64",
    "volume=5dB",
)
_DUCK_FROM_DB = -20.0
_DUCK_TIMES = "attack=60:release=500"


@dataclass(frozen=True)
class Piece:
    """Something that sounds, in samples of the export: a pad of exactly `length` samples."""

    pad: str
    start: int
    length: int


@dataclass(frozen=True)
class SoundTrack:
    """Builds the sound of a timeline into a graph."""

    graph: Graph
    layout: Layout
    timeline: Timeline
    sources: Mapping[str, Source]
    readers: Readers
    layer_sounds: Mapping[int, str]
    """Pads with the sound of video layers, by the number of the layer; of those that are not opened for the picture."""

    def build(self, measured: Measured) -> str:
        """The pad of the finished mix."""
        speech = self.speech()
        mixed = self._with_music(speech, measured.speech_starts)
        return self.graph.add("mix", [*self._mastered(measured), *self._exactly(self.layout.samples)], mixed)

    def speech(self) -> str:
        """The pad of the base track's own sound, the video layers' and the narration, together."""
        base = self._base()
        lanes = [self._lane(f"voice{number}", lane) for number, lane in enumerate(packed(list(self._voices())))]
        return self._mixed("speech", [base, *lanes])

    def bare_mix(self, measured: Measured) -> str:
        """The pad of the mix before it is brought to a loudness."""
        return self._with_music(self.speech(), measured.speech_starts)

    # --- the base track ----------------------------------------------------------------------------------------------

    def _base(self) -> str:
        lanes = packed(list(self._clips())) or [[]]
        return self._mixed("sound_track", [self._lane(f"clips{number}", lane) for number, lane in enumerate(lanes)])

    def _clips(self) -> Iterator[Piece]:
        for number, segment in enumerate(self.layout.segments):
            pad, clip = self.readers.sound(number), segment.item
            if pad is not None and isinstance(clip, Clip):
                length = self.layout.samples_of(segment.first, segment.frames)
                filters = (*self._clip(number, segment, clip), *self._exactly(length), *self._crossings(number, length))
                yield Piece(self.graph.add(f"clip{number}", filters, pad), self._sample(segment.first), length)

    def _clip(self, number: int, segment: Segment, clip: Clip) -> Iterator[str]:
        moving = self.layout.samples_of(segment.first, segment.frames - segment.held)
        # A frame more than asked for: where its end is snapped to a later frame, it sounds on as it is shown on.
        length_read = segment.source_out - segment.source_in + exact(clip.speed) / self.layout.fps
        before = run_in(clip)
        yield from part_of(self.sources[clip.source], self.readers.sound_offset(number), length_read, before)
        yield from _at_speed(clip.speed, before)
        yield from _gain(clip.gain_db)
        yield from self._fades(segment)
        yield f"atrim=end_sample={moving}"

    def _crossings(self, number: int, length: int) -> Iterator[str]:
        """Where a dissolve begins or ends. Equal power: what is heard at both sides of it has nothing in common.

        `acrossfade` would do it too, but reads on in everything that comes after it, whose pictures then pile up.
        """
        segments = self.layout.segments
        if number and (shared := self._shared(segments[number])):
            yield f"afade=t=in:ns={shared}:curve=qsin"
        if number + 1 < len(segments) and (shared := self._shared(segments[number + 1])):
            yield f"afade=t=out:ss={length - shared}:ns={shared}:curve=qsin"

    def _shared(self, segment: Segment) -> int:
        """Samples that a segment shares with the one before."""
        return self.layout.samples_of(segment.first, segment.dissolve)

    def _fades(self, segment: Segment) -> Iterator[str]:
        fps = self.layout.fps
        if segment.fade_in:
            yield f"afade=t=in:d={decimal(segment.fade_in.frames / fps)}"
        if segment.fade_out:
            length = segment.fade_out.frames / fps
            yield f"afade=t=out:st={decimal(segment.frames / fps - length)}:d={decimal(length)}"

    # --- voices and music --------------------------------------------------------------------------------------------

    def _voices(self) -> Iterator[Piece]:
        for number, layer in enumerate(self.timeline.layers):
            if isinstance(layer, VideoLayer) and number in self.layer_sounds:
                yield self._piece(f"layer_sound{number}", self.layer_sounds[number], layer)
        for number, voice in enumerate(self.timeline.narration):
            source = self.sources[voice.source]
            stream = self.graph.open(Input(source.name, ("-vn", *seek(source, voice.in_))))
            audio = source.info.main_audio
            assert audio is not None
            yield self._piece(f"narration{number}", f"{stream}:{audio.index}", voice)

    def _piece(self, name: str, pad: str, item: VideoLayer | Narration) -> Piece:
        source = self.sources[item.source]
        begin, end = used_part(item, source.info)
        first, frames = self.layout.span(item.start, end - begin)
        length = self.layout.samples_of(first, frames)
        fades = (item.fade_in, item.fade_out) if isinstance(item, Narration) else (Fraction(0), Fraction(0))
        shaped = (
            *part_of(source, lead(source, begin), end - begin),
            *_gain(item.gain_db),
            *_faded(length, *fades),
            *self._exactly(length),
        )
        return Piece(self.graph.add(name, shaped, pad), self._sample(first), length)

    def _with_music(self, speech: str, speech_starts: Sequence[Fraction]) -> str:
        music = self.timeline.music
        if not music:
            return speech
        ducked = sorted({each.duck_db for each in music if each.mode == "duck"})
        heard, *keys = self._copies("heard", speech, 1 + len(ducked))
        groups: list[str] = []
        plain = [number for number, each in enumerate(music) if each.mode in ("mix", "opener")]
        if plain:
            groups.append(self._under("music", plain, speech_starts))
        for depth, key in zip(ducked, keys, strict=True):
            wanted = [number for number, each in enumerate(music) if each.mode == "duck" and each.duck_db == depth]
            groups.append(self._ducked(f"duck{depth}", self._under(f"duck{depth}", wanted, speech_starts), key, depth))
        mixed = self._mixed("mixed", [heard, *groups])
        replacing = [number for number, each in enumerate(music) if each.mode == "replace"]
        if not replacing:
            return mixed
        silenced = self._silenced_by(mixed, [music[number] for number in replacing])
        return self._mixed("with_replacing", [silenced, self._under("replacing", replacing, speech_starts)])

    def _under(self, name: str, numbers: Sequence[int], speech_starts: Sequence[Fraction]) -> str:
        """Those pieces of music, in one pad."""
        pieces = [self._music(number, self.timeline.music[number], speech_starts) for number in numbers]
        return self._mixed(
            name, [self._lane(f"{name}_lane{number}", lane) for number, lane in enumerate(packed(pieces))]
        )

    def _music(self, number: int, item: Music, speech_starts: Sequence[Fraction]) -> Piece:
        source = self.sources[item.source]
        audio = source.info.main_audio
        assert audio is not None
        first, frames = self.layout.span(item.start, item.duration)
        fade_out = item.fade_out
        if item.mode == "opener":
            speaks = next((start for start in speech_starts if start >= item.start), None)
            if speaks is not None:
                fade_out = fade_out or exact(_FADE_S)
                frames = min(frames, self.layout.frame_at(speaks + fade_out) - first)
        length = self.layout.samples_of(first, max(1, frames))
        lasts = sound_length(source.info) - item.in_
        again = ("-stream_loop", "-1") if lasts and Fraction(length, SAMPLE_RATE) > lasts else ()
        stream = self.graph.open(Input(source.name, ("-vn", *again, *seek(source, item.in_))))
        shaped = (
            *part_of(source, lead(source, item.in_), Fraction(length, SAMPLE_RATE)),
            *_gain(item.gain_db),
            *_faded(length, item.fade_in, fade_out),
            *self._exactly(length),
        )
        pad = self.graph.add(f"music{number}", shaped, f"{stream}:{audio.index}")
        return Piece(pad, self._sample(first), length)

    def _ducked(self, name: str, music: str, speech: str, depth: int) -> str:
        key = self.graph.add(f"{name}_key", _KEY, speech)
        # A key at 0 dB stands 20 dB above the threshold, of which the ratio leaves all but `depth`.
        ratio = 1 / (1 - depth / -_DUCK_FROM_DB)
        threshold = 10 ** (_DUCK_FROM_DB / 20)
        ducking = f"sidechaincompress=threshold={threshold:g}:ratio={ratio:.3f}:{_DUCK_TIMES}:detection=peak"
        return self.graph.add(f"{name}_under", [ducking], music, key)

    def _silenced_by(self, pad: str, replacing: Sequence[Music]) -> str:
        kept = "*".join(f"(1-{self._presence(each)})" for each in replacing)
        # Frames of 10 ms, for the level is worked out once a frame.
        return self.graph.add("replaced", ["asetnsamples=n=480", f"volume='{kept}':eval=frame"], pad)

    def _presence(self, item: Music) -> str:
        """1 within a piece of music, 0 outside of it, and a slope inside either end of it: the two sounds cross."""
        first, frames = self.layout.span(item.start, item.duration)
        start, end = first / self.layout.fps, (first + frames) / self.layout.fps
        return f"clip(min(t-{decimal(start)},{decimal(end)}-t)/{_FADE_S},0,1)"

    # --- the mix -----------------------------------------------------------------------------------------------------

    def _mastered(self, measured: Measured) -> Iterator[str]:
        wanted = self.timeline.loudness
        if wanted is None:
            yield from _limited(UNASKED_PEAK_DB)
            return
        gain = measured.gain_to(wanted.target)
        yield from _gain(gain)
        if measured.true_peak + gain > wanted.true_peak:
            yield from _limited(wanted.true_peak, oversampled=True)

    def _mixed(self, pad: str, pads: Sequence[str]) -> str:
        if len(pads) == 1:
            return pads[0]
        return self.graph.add(pad, [f"amix=inputs={len(pads)}:duration=first:normalize=0"], *pads)

    def _lane(self, name: str, pieces: Sequence[Piece]) -> str:
        parts: list[str] = []
        at = 0
        for number, piece in enumerate(pieces):
            if piece.start > at:
                parts.append(self._silence(f"{name}_rest{number}", piece.start - at))
            parts.append(piece.pad)
            at = piece.start + piece.length
        if at < self.layout.samples:
            parts.append(self._silence(f"{name}_end", self.layout.samples - at))
        return self._concatenated(name, parts)

    def _copies(self, name: str, pad: str, count: int) -> tuple[str, ...]:
        if count == 1:
            return (pad,)
        return self.graph.fan_out((f"{name}{number}" for number in range(count)), [f"asplit={count}"], pad)

    def _concatenated(self, pad: str, pads: Sequence[str]) -> str:
        if len(pads) == 1:
            return pads[0]
        return self.graph.add(pad, [f"concat=n={len(pads)}:v=0:a=1"], *pads)

    def _silence(self, pad: str, length: int) -> str:
        return self.graph.add(pad, [_SILENCE, f"atrim=end_sample={length}", _FORM])

    def _exactly(self, length: int) -> tuple[str, ...]:
        return ("apad", f"atrim=end_sample={length}", "asetpts=N/SR/TB")

    def _sample(self, frame: int) -> int:
        return self.layout.samples_of(0, frame)


def packed(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """The pieces in as few lanes as can be, so that no two of a lane overlap."""
    lanes: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda each: each.start):
        free = next((lane for lane in lanes if lane[-1].start + lane[-1].length <= piece.start), None)
        if free is None:
            lanes.append([piece])
        else:
            free.append(piece)
    return lanes


def part_of(source: Source, offset: Fraction, length: Fraction, before: Fraction = Fraction(0)) -> tuple[str, ...]:
    """Filters that cut a part out of what is read, `before` seconds more, and fill what is missing at its beginning."""
    moved = (f"asetpts=PTS-{decimal(offset)}/TB",) if offset else ()
    audio = source.info.main_audio
    # Left to itself, ffmpeg plays mono on both sides 3 dB softer.
    both = ("pan=stereo|c0=c0|c1=c0",) if audio and audio.channels == 1 else ()
    return (
        *moved,
        f"atrim=start={decimal(-before)}:end={decimal(length)}",
        # async=1: gaps in the source are filled, so that what follows them stays in time.
        f"aresample={SAMPLE_RATE}:first_pts={-snap(before, Fraction(SAMPLE_RATE))}:async=1",
        *both,
        _FORM,
    )


def _at_speed(speed: float, before: Fraction) -> Iterator[str]:
    """`atempo` keeps the pitch. Below a half and above the double it is applied twice, which sounds better.

    `before` is how much of the source comes before what is wanted: `atempo` finds its pace in it, and it is cut off.
    """
    if speed == 1:
        return
    twice = speed < 0.5 or speed > 2
    stages = (speed**0.5,) * 2 if twice else (speed,)
    # The window follows from the rate that it is told: of half the rate, half of it.
    told = SAMPLE_RATE // 2 if twice else SAMPLE_RATE
    yield from (f"asetrate={told}",) * twice
    yield from (f"atempo={stage:.9f}" for stage in stages)
    yield from (f"asetrate={SAMPLE_RATE}",) * twice
    cut = before / exact(speed) - _ahead(stages, Fraction(_WINDOW, 2 * SAMPLE_RATE if twice else SAMPLE_RATE))
    yield from (f"atrim=start_sample={snap(cut, Fraction(SAMPLE_RATE))}", "asetpts=N/SR/TB")


def _ahead(stages: Sequence[float], window: Fraction) -> Fraction:
    """How much earlier than it should `atempo` plays something, seconds of its output.

    It lays windows over each other where they fit best, and looks for that place ahead of the right one: as far as half
    a window of the source in silence, less the more there is to fit. The shares are the middle of what was measured of
    clicks, bursts, tones and noise (ffmpeg 8.1, speeds from 0.25 to 4); what is left is within 20 ms. With two stages
    of whole windows it would not be, for the second one stretches what the first one is off.
    """
    share = _AHEAD_SLOWED if stages[0] < 1 else _AHEAD_SPED_UP
    late = Fraction(0)
    for stage in stages:
        late = (late + window * share) / exact(stage)
    return late


def _gain(decibels: float) -> tuple[str, ...]:
    return (f"volume={decibels:.2f}dB",) if round(decibels, 2) else ()


def _faded(length: int, fade_in: Fraction, fade_out: Fraction) -> Iterator[str]:
    # Of no sample at all, ffmpeg takes no fade.
    if samples := min(length, snap(fade_in, Fraction(SAMPLE_RATE))):
        yield f"afade=t=in:ns={samples}"
    if samples := min(length, snap(fade_out, Fraction(SAMPLE_RATE))):
        yield f"afade=t=out:ss={length - samples}:ns={samples}"


def _limited(ceiling_db: float, *, oversampled: bool = False) -> Iterator[str]:
    limiter = f"alimiter=limit={10 ** (ceiling_db / 20):.6f}:level=disabled:attack=5:release=80:latency=1"
    if not oversampled:
        yield limiter
        return
    # A true peak lies between samples: at four times the rate it is one of them.
    yield from (f"aresample={4 * SAMPLE_RATE}", limiter, f"aresample={SAMPLE_RATE}")
