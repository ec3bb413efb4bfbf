"""The sound of an export: speech, the music under it, and the mix of both.

The position of a sound in samples is computed from its frame, so sound cannot drift from the picture. Pieces that do
not overlap share a lane: silence, a piece, silence, a piece. A lane is read as it is played; a delay filter would make
all of its silence at once. And the number of lanes to mix is the number of pieces that sound at the same time, not the
number of all pieces.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from mediajobs_dagster.job_types.material import Source
from mediajobs_dagster.job_types.tracks import HOLES_FILLED, begun_at
from mediajobs_dagster.job_types.video_export.graph import Graph, decimal
from mediajobs_dagster.job_types.video_export.loudness import UNASKED_PEAK_DB, Measured
from mediajobs_dagster.job_types.video_export.openings import Openings
from mediajobs_dagster.job_types.video_export.reading import Opened, SegmentInputs, run_in_of
from mediajobs_dagster.media.command import Input
from mediajobs_dagster.timelines.layout import Layout, Segment, sound_end, used_part
from mediajobs_dagster.timelines.model import Clip, Music, Narration, Timeline, VideoLayer
from mediajobs_dagster.timelines.times import SAMPLE_RATE, exact, snap

_FORM = f"aformat=sample_fmts=fltp:sample_rates={SAMPLE_RATE}:channel_layouts=stereo"
_SILENCE = f"anullsrc=r={SAMPLE_RATE}:cl=stereo"
_FADE_S = 0.35
_WINDOW = 2048
"""Window of `atempo` at our sample rate, samples: a 24th of a second, rounded up to a power of two."""
_AHEAD_SLOWED, _AHEAD_SPED_UP = Fraction(27, 100), Fraction(1, 8)
"""How far `atempo` runs ahead in its source, in windows; see `_ahead`."""

# The key signal for ducking: speech of any level gets a steady level, and everything below a whisper is silenced.
# With 20:1 above -42 dB and 41 dB of make-up gain, speech from -36 dB on ends up between -1 and 1 dB.
_KEY = (
    "agate=threshold=0.01:ratio=9000:range=0:attack=5:release=300",
    "acompressor=threshold=0.0079:ratio=20:attack=5:release=200:makeup=64",
    "volume=5dB",
)
_DUCK_FROM_DB = -20.0
_DUCK_TIMES = "attack=60:release=500"


@dataclass(frozen=True)
class Piece:
    """A piece of sound in the export: a pad of exactly `length` samples, which begins at sample `start`."""

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
    segment_inputs: SegmentInputs
    openings: Openings
    layers: Opened
    """The inputs of the video layers."""

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
            pad, clip = self.segment_inputs.sound(number), segment.item
            if pad is not None and isinstance(clip, Clip):
                length = self.layout.samples_of(segment.first, segment.frames)
                filters = (*self._clip(number, segment, clip), *self._exactly(length), *self._crossings(number, length))
                yield Piece(self.graph.add(f"clip{number}", filters, pad), self._sample(segment.first), length)

    def _clip(self, number: int, segment: Segment, clip: Clip) -> Iterator[str]:
        moving = self.layout.samples_of(segment.first, segment.frames - segment.held)
        # One frame more: if the end is snapped to a later frame, the sound has to go on as long as the picture.
        length_read = segment.source_out - segment.source_in + exact(clip.speed) / self.layout.fps
        before = run_in_of(clip)
        yield from part_of(self.sources[clip.source], self.segment_inputs.sound_offset(number), length_read, before)
        yield from _at_speed(clip.speed, before)
        yield from _gain(clip.gain_db)
        yield from self._fades(segment)
        yield f"atrim=end_sample={moving}"

    def _crossings(self, number: int, length: int) -> Iterator[str]:
        """The fades at the dissolves of a segment, with equal power, because the two sounds are unrelated.

        `acrossfade` reads ahead in everything that follows, and its pictures would pile up.
        """
        segments = self.layout.segments
        if number and (shared := self._shared(segments[number])):
            yield f"afade=t=in:ns={shared}:curve=qsin"
        if number + 1 < len(segments) and (shared := self._shared(segments[number + 1])):
            yield f"afade=t=out:ss={length - shared}:ns={shared}:curve=qsin"

    def _shared(self, segment: Segment) -> int:
        """How many samples a segment shares with the one before."""
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
            if isinstance(layer, VideoLayer) and number in self.layers.sound:
                pad, offset = self.layers.sound[number], self.layers.offset[number]
                yield self._piece(f"layer_sound{number}", pad, offset, layer)
        for number, voice in enumerate(self.timeline.narration):
            source = self.sources[voice.source]
            opening = self.openings.of(source, voice.in_, picture=False, sound=True)
            stream = self.graph.open(Input(source.name, ("-vn", *opening.options)))
            audio = source.info.main_audio
            assert audio is not None
            yield self._piece(f"narration{number}", f"{stream}:{audio.index}", voice.in_ - opening.origin, voice)

    def _piece(self, name: str, pad: str, offset: Fraction, item: VideoLayer | Narration) -> Piece:
        source = self.sources[item.source]
        begin, end = used_part(item, source.info)
        first, frames = self.layout.span(item.start, end - begin)
        length = self.layout.samples_of(first, frames)
        fades = (item.fade_in, item.fade_out) if isinstance(item, Narration) else (Fraction(0), Fraction(0))
        shaped = (
            *part_of(source, offset, end - begin),
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
        """The pad with these pieces of music."""
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
        lasts = sound_end(source.info) - item.in_
        again = _repeated(Fraction(length, SAMPLE_RATE) / lasts) if lasts else ()
        opening = self.openings.of(source, item.in_, picture=False, sound=True)
        stream = self.graph.open(Input(source.name, ("-vn", *again, *opening.options)))
        shaped = (
            *part_of(source, item.in_ - opening.origin, Fraction(length, SAMPLE_RATE)),
            *_gain(item.gain_db),
            *_faded(length, item.fade_in, fade_out),
            *self._exactly(length),
        )
        pad = self.graph.add(f"music{number}", shaped, f"{stream}:{audio.index}")
        return Piece(pad, self._sample(first), length)

    def _ducked(self, name: str, music: str, speech: str, depth: int) -> str:
        key = self.graph.add(f"{name}_key", _KEY, speech)
        # A key signal at 0 dB is 20 dB above the threshold. The ratio is such that this lowers the music by `depth` dB.
        ratio = 1 / (1 - depth / -_DUCK_FROM_DB)
        threshold = 10 ** (_DUCK_FROM_DB / 20)
        ducking = f"sidechaincompress=threshold={threshold:g}:ratio={ratio:.3f}:{_DUCK_TIMES}:detection=peak"
        return self.graph.add(f"{name}_under", [ducking], music, key)

    def _silenced_by(self, pad: str, replacing: Sequence[Music]) -> str:
        kept = "*".join(f"(1-{self._presence(each)})" for each in replacing)
        # Frames of 10 ms, because the level is computed once per frame.
        return self.graph.add("replaced", ["asetnsamples=n=480", f"volume='{kept}':eval=frame"], pad)

    def _presence(self, item: Music) -> str:
        """An expression: 1 within a piece of music, 0 outside, with a slope inside both ends, for a crossfade."""
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
    """The pieces in as few lanes as possible, so that no two pieces of a lane overlap."""
    lanes: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda each: each.start):
        free = next((lane for lane in lanes if lane[-1].start + lane[-1].length <= piece.start), None)
        if free is None:
            lanes.append([piece])
        else:
            free.append(piece)
    return lanes


def part_of(source: Source, offset: Fraction, length: Fraction, before: Fraction = Fraction(0)) -> tuple[str, ...]:
    """Filters that cut a part, and `before` seconds before it, out of an input, and pad a missing beginning."""
    moved = (f"asetpts=PTS-{decimal(offset)}/TB",) if offset else ()
    audio = source.info.main_audio
    # By default, ffmpeg plays mono on both channels 3 dB softer.
    both = ("pan=stereo|c0=c0|c1=c0",) if audio and audio.channels == 1 else ()
    begun = begun_at(-before, audio) if audio else ""
    return (
        *moved,
        f"atrim=start={decimal(-before)}:end={decimal(length)}",
        f"{HOLES_FILLED}:out_sample_rate={SAMPLE_RATE}{begun}",
        *both,
        _FORM,
    )


def _at_speed(speed: float, before: Fraction) -> Iterator[str]:
    """Filters that change the speed and keep the pitch. Below 0.5 and above 2, `atempo` is applied twice.

    Twice sounds better. `before` is how much sound is read before the part, seconds: `atempo` settles in it, and then
    it is cut off.
    """
    if speed == 1:
        return
    twice = speed < 0.5 or speed > 2
    stages = (speed**0.5,) * 2 if twice else (speed,)
    # `atempo` derives its window from the declared sample rate: at half the rate, half the window.
    told = SAMPLE_RATE // 2 if twice else SAMPLE_RATE
    yield from (f"asetrate={told}",) * twice
    yield from (f"atempo={stage:.9f}" for stage in stages)
    yield from (f"asetrate={SAMPLE_RATE}",) * twice
    cut = before / exact(speed) - _ahead(stages, Fraction(_WINDOW, 2 * SAMPLE_RATE if twice else SAMPLE_RATE))
    yield from (f"atrim=start_sample={snap(cut, Fraction(SAMPLE_RATE))}", "asetpts=N/SR/TB")


def _ahead(stages: Sequence[float], window: Fraction) -> Fraction:
    """How much too early `atempo` plays something, seconds of its output.

    It overlaps windows where they match best, and searches ahead of the exact position: in silence up to half a window
    of the source, less when there is more to match. The shares are the middle of measurements with clicks, bursts,
    tones and noise (ffmpeg 8.1, speeds from 0.25 to 4). The remaining error is at most 20 ms. With two stages of whole
    windows it would be more, because the second stage stretches the error of the first.
    """
    share = _AHEAD_SLOWED if stages[0] < 1 else _AHEAD_SPED_UP
    late = Fraction(0)
    for stage in stages:
        late = (late + window * share) / exact(stage)
    return late


def _repeated(times: Fraction) -> tuple[str, ...]:
    """Options of an input that is played this many times.

    Twice as often, in case that it is shorter than it says; but not for ever, in case that nothing of it can be read.
    """
    return ("-stream_loop", str(2 * math.ceil(times))) if times > 1 else ()


def _gain(decibels: float) -> tuple[str, ...]:
    return (f"volume={decibels:.2f}dB",) if round(decibels, 2) else ()


def _faded(length: int, fade_in: Fraction, fade_out: Fraction) -> Iterator[str]:
    # ffmpeg refuses a fade of 0 samples.
    if samples := min(length, snap(fade_in, Fraction(SAMPLE_RATE))):
        yield f"afade=t=in:ns={samples}"
    if samples := min(length, snap(fade_out, Fraction(SAMPLE_RATE))):
        yield f"afade=t=out:ss={length - samples}:ns={samples}"


def _limited(ceiling_db: float, *, oversampled: bool = False) -> Iterator[str]:
    limiter = f"alimiter=limit={10 ** (ceiling_db / 20):.6f}:level=disabled:attack=5:release=80:latency=1"
    if not oversampled:
        yield limiter
        return
    # A true peak lies between samples; at four times the rate, a sample is close enough to it.
    yield from (f"aresample={4 * SAMPLE_RATE}", limiter, f"aresample={SAMPLE_RATE}")
