"""The step that recognises speech, block by block of the sound that ffmpeg wrote."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mediajobs_dagster.errors import InputNoAudioError, JobSettingsError
from mediajobs_dagster.job_types.bench import Bench
from mediajobs_dagster.job_types.transcript.documents import SOUND, write_documents
from mediajobs_dagster.speech.models import RATE, find_model
from mediajobs_dagster.speech.recogniser import Recogniser, recogniser
from mediajobs_dagster.speech.stretches import Stretch, blocks, samples_in
from mediajobs_dagster.transcripts.model import Method, Transcript, Word
from mediajobs_dagster.transcripts.sentences import is_spaced, sentences_of

_DOUBTFUL = 0.6
"""Below this mean confidence, people should look at the transcript."""
_WORTH_TELLING_S = 1.0


@dataclass(frozen=True)
class Wanted:
    """What is asked of the step."""

    language: str | None
    """None: as the model hears it."""
    begin: float
    """When the sound begins, seconds of the file."""
    duration_seconds: float
    """Length of the file."""


@dataclass
class _Found:
    language: str | None
    sure_of_language: float = 0.0
    words: list[Word] = field(default_factory=list[Word])
    speech_seconds: float = 0.0
    unsure_seconds: float = 0.0

    @property
    def confidence(self) -> float | None:
        """The mean of the words'."""
        known = [word.confidence for word in self.words if word.confidence is not None]
        return round(sum(known) / len(known), 3) if known else None


def recognise(wanted: Wanted, bench: Bench) -> None:
    """Make the transcript of the sound. Between two stretches of half a minute the step can be cancelled.

    Raises InputNoAudioError where no sound came out, JobSettingsError where the model does not know the language or
    cannot be loaded, ExtraMissingError.
    """
    settings = bench.installation.settings
    model = recogniser(find_model(settings.speech_model), settings.speech_threads)
    language = _known(wanted.language, model)
    found = _recognised(bench.folder / SOUND, model, language, bench)
    _tell_doubts(found, model, wanted, bench)
    shifted = (_later(word, wanted.begin) for word in found.words)
    transcript = Transcript(
        language=found.language if found.words else wanted.language,
        method=Method.SPEECH,
        model=model.name,
        duration_seconds=wanted.duration_seconds,
        confidence=found.confidence,
        sentences=sentences_of(shifted, spaced=is_spaced(found.language)),
    )
    seconds = {"speechSeconds": found.speech_seconds, "unsureSeconds": found.unsure_seconds}
    write_documents(bench, transcript, **{name: round(value, 1) for name, value in seconds.items()})


def _recognised(sound: Path, model: Recogniser, language: str | None, bench: Bench) -> _Found:
    found, samples = _Found(language), samples_in(sound)
    if not samples:
        raise InputNoAudioError("The sound track of the input is empty.")
    for block in blocks(sound, model.detect):
        if block.stretches and found.language is None:
            found.language, found.sure_of_language = model.language_of(block.stretches)
        for stretch in block.stretches:
            bench.progress(stretch.start / samples)
            _add(found, stretch, model)
        bench.progress(block.end / samples)
    return found


def _add(found: _Found, stretch: Stretch, model: Recogniser) -> None:
    assert found.language is not None  # told from the first stretches
    heard = model.recognise(stretch, found.language)
    found.words += heard.words
    found.unsure_seconds += heard.unsure_seconds
    found.speech_seconds += len(stretch.sound) / RATE


def _known(language: str | None, model: Recogniser) -> str | None:
    """The language as the model calls it."""
    if language is None:
        return None
    spoken = language.lower().split("-")[0]
    if spoken in model.languages:
        return spoken
    known = ", ".join(sorted(model.languages)) if len(model.languages) == 1 else f"{len(model.languages)} others"
    raise JobSettingsError(
        f"The speech is in {language}, and the model {model.name} knows only {known}. Set MEDIAJOBS_SPEECH_MODEL to a "
        "model that knows it."
    )


def _tell_doubts(found: _Found, model: Recogniser, wanted: Wanted, bench: Bench) -> None:
    if not found.speech_seconds:
        bench.note("Nobody speaks in it, as far as can be heard.")
        return
    if found.unsure_seconds >= _WORTH_TELLING_S:
        bench.note(f"{found.unsure_seconds:.0f} s sound like speech that the model does not understand; left out.")
    if wanted.language is None and len(model.languages) == 1:
        (only,) = model.languages
        bench.note(f"The model {model.name} knows {only} alone, so it cannot tell if another language is spoken.")
    if found.confidence is not None and found.confidence < _DOUBTFUL:
        bench.note(
            f"The words are doubtful: on average {found.confidence:.0%} sure. The speech may be in another language "
            "than the model took it for, or hard to hear."
        )


def _later(word: Word, seconds: float) -> Word:
    if not seconds:
        return word
    return word.model_copy(update={"start": round(word.start + seconds, 3), "end": round(word.end + seconds, 3)})
