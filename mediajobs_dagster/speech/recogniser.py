"""Recognises speech with Whisper (https://arxiv.org/abs/2212.04356), by faster-whisper on the processor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any, Protocol, cast

from mediajobs_dagster.errors import ExtraMissingError, JobSettingsError
from mediajobs_dagster.media.budget import granted_budget
from mediajobs_dagster.speech.models import EXTRA, SpeechModel
from mediajobs_dagster.speech.stretches import LONGEST_S, RATE, Floats, Span, Stretch
from mediajobs_dagster.transcripts.model import Word

_BEAM = 5
_TEMPERATURES = (0.0, 0.4)
"""Where the first try repeats itself or is unsure, a second one is made with some chance in it."""
_LEAST_LOGPROB, _MOST_COMPRESSION, _NO_SPEECH = -1.0, 2.4, 0.6
"""Whisper's own limits. What is less sure (mean log probability of a token), or so repetitive that it compresses so
well, is no speech that the model understands."""
_LEAST_SURE = 0.55
"""Mean confidence of the words of a stretch. Clear English has 0.8 and more; what is made of other languages, 0.5."""
_TOKENS_A_SECOND, _TOKENS = 8, 20
"""Nobody says more: fast English has five tokens a second. It ends what repeats itself early."""
_SEED = 1
"""The same sound gives the same words."""
_PAUSE_MS, _PAD_MS = 500, 250
_LEAST_SPEECH_MS = 120
_DETECTED_STRETCHES = 3
"""The language is told from the first stretches."""


class _Segment(Protocol):
    avg_logprob: float
    compression_ratio: float
    start: float
    end: float
    words: Sequence[Any] | None


@dataclass(frozen=True)
class Heard:
    """What was recognised in a stretch."""

    words: tuple[Word, ...]
    unsure_seconds: float = 0.0
    """How much of it was speech, or like it, that the model did not understand. It has no words."""


class Recogniser:
    """A model in memory. It may be used by one thread at a time."""

    def __init__(self, model: SpeechModel, threads: int) -> None:
        """Load the model; takes a third of a second and 170 MB for the smallest one. Raises JobSettingsError."""
        import ctranslate2  # pyright: ignore[reportMissingTypeStubs]
        from faster_whisper import WhisperModel  # pyright: ignore[reportMissingTypeStubs]

        self.name = model.name
        self._seed = cast("Callable[[int], None]", ctranslate2.set_random_seed)  # pyright: ignore
        try:
            self._model: Any = WhisperModel(
                str(model.folder), device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise JobSettingsError(
                f"The model in {model.folder} cannot be loaded: {error}. Name another in MEDIAJOBS_SPEECH_MODEL."
            ) from error

    @property
    def languages(self) -> frozenset[str]:
        """The languages that it knows, as tags of BCP 47 without a region."""
        return frozenset(self._model.supported_languages)

    def detect(self, block: Floats) -> list[Span]:
        """Where somebody speaks in a block of sound, by the voice activity detector Silero, with a bit around it."""
        from faster_whisper import vad  # pyright: ignore[reportMissingTypeStubs]

        options = vad.VadOptions(
            min_silence_duration_ms=_PAUSE_MS,
            speech_pad_ms=_PAD_MS,
            min_speech_duration_ms=_LEAST_SPEECH_MS,
            max_speech_duration_s=LONGEST_S,
        )
        found: Any = vad.get_speech_timestamps(block, options)  # pyright: ignore
        return [(span["start"], span["end"]) for span in found]

    def language_of(self, stretches: Sequence[Stretch]) -> tuple[str, float]:
        """The language that is spoken, and how sure that is, 0 to 1. A model for one language knows only that."""
        if len(self.languages) == 1:
            return next(iter(self.languages)), 0.0
        votes: dict[str, float] = {}
        heard = stretches[:_DETECTED_STRETCHES]
        for stretch in heard:
            language, share, _ = self._model.detect_language(stretch.sound)
            votes[language] = votes.get(language, 0.0) + share / len(heard)
        return max(votes.items(), key=lambda vote: vote[1])

    def recognise(self, stretch: Stretch, language: str) -> Heard:
        """What is said in a stretch."""
        self._seed(_SEED)
        found, _ = self._model.transcribe(
            stretch.sound,
            language=language,
            beam_size=_BEAM,
            best_of=1,
            temperature=_TEMPERATURES,
            max_new_tokens=round(_TOKENS_A_SECOND * len(stretch.sound) / RATE) + _TOKENS,
            log_prob_threshold=_LEAST_LOGPROB,
            compression_ratio_threshold=_MOST_COMPRESSION,
            no_speech_threshold=_NO_SPEECH,
            # What was misheard once is not misheard again because of that.
            condition_on_previous_text=False,
            word_timestamps=True,
        )
        words: list[Word] = []
        unsure = 0.0
        for segment in cast("Iterable[_Segment]", found):
            if segment.avg_logprob < _LEAST_LOGPROB or segment.compression_ratio > _MOST_COMPRESSION:
                unsure += segment.end - segment.start
            else:
                words += _words(segment, stretch)
        sure = sum(word.confidence or 0.0 for word in words) / max(1, len(words))
        return Heard(tuple(words), unsure) if sure >= _LEAST_SURE else Heard((), len(stretch.sound) / RATE)


def _words(segment: _Segment, stretch: Stretch) -> Iterable[Word]:
    first, last = stretch.start / RATE, stretch.end / RATE
    for word in segment.words or ():
        start = min(max(first + float(word.start), first), last)
        end = min(max(first + float(word.end), start), last)
        if text := str(word.word).strip():
            yield Word(
                text=text, start=round(start, 3), end=round(end, 3), confidence=round(float(word.probability), 3)
            )


_loading = Lock()


def recogniser(model: SpeechModel, threads: int) -> Recogniser:
    """The recogniser of a model, which the process keeps; with `threads` 0 it uses all cores.

    Raises ExtraMissingError and JobSettingsError.
    """
    with _loading:
        return _kept(model, granted_budget().threads(threads))


@lru_cache(maxsize=1)
def _kept(model: SpeechModel, threads: int) -> Recogniser:
    try:
        return Recogniser(model, threads)
    except ImportError:
        raise ExtraMissingError.of("Speech recognition needs", EXTRA) from None
