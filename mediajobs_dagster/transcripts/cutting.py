"""Cuts a part out of a transcript."""

from __future__ import annotations

from collections.abc import Iterator

from mediajobs_dagster.transcripts.model import Sentence, Transcript
from mediajobs_dagster.transcripts.sentences import is_spaced


def part_of(transcript: Transcript, start: float, end: float) -> Iterator[Sentence]:
    """What is said from `start` to `end`, seconds; times stay those of the transcript.

    Of a sentence that goes beyond, the words count whose middle lies within; where words have no times, it is taken if
    its own middle does. No time lies beyond `start` and `end`.
    """
    between = " " if is_spaced(transcript.language) else ""
    for sentence in transcript.sentences:
        words = tuple(word for word in sentence.words if start <= (word.start + word.end) / 2 < end)
        is_within = start <= (sentence.start + sentence.end) / 2 < end
        if not (words if sentence.words else is_within):
            continue
        is_whole = len(words) == len(sentence.words)
        first, last = (sentence.start, sentence.end) if is_whole else (words[0].start, words[-1].end)
        yield Sentence(
            text=sentence.text if is_whole else between.join(word.text for word in words),
            start=max(first, start),
            end=min(last, end),
            words=words,
        )
