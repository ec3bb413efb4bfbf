"""A transcript is written as JSON, WebVTT and SubRip, and reads back the same."""

from __future__ import annotations

import itertools
import json

import pytest

from mediajobs_dagster.transcripts.cutting import part_of
from mediajobs_dagster.transcripts.model import Method, Sentence, Transcript, Word
from mediajobs_dagster.transcripts.reading import read_transcript
from mediajobs_dagster.transcripts.subtitles import read_captions
from mediajobs_dagster.transcripts.writing import cues_of, json_of, srt_of, vtt_of


def sentence(text: str, start: float = 0.0, *, timed: bool = True, each: float = 0.5) -> Sentence:
    """A sentence whose words take half a second."""
    said = [
        Word(text=word, start=start + number * each, end=start + (number + 1) * each, confidence=0.5)
        for number, word in enumerate(text.split())
    ]
    return Sentence(text=text, start=start, end=said[-1].end, words=tuple(said) if timed else ())


def transcript(*sentences: Sentence) -> Transcript:
    """A transcript of these."""
    return Transcript(language="en", method=Method.SPEECH, duration_seconds=60.0, sentences=sentences)


LONG = " ".join(f"word{number}" for number in range(60)) + "."


def test_json_reads_back() -> None:
    """The document is the value, with names in camelCase."""
    value = transcript(sentence("Grüße, мир."), sentence("Next.", 5.0))
    assert read_transcript(json_of(value)) == value
    assert json.loads(json_of(value))["durationSeconds"] == 60.0


def test_what_the_files_look_like() -> None:
    """As players want them."""
    cues = cues_of([sentence("Fish & chips <b> cost 3 < 5.", 3599.5, timed=False)])
    assert vtt_of(cues) == ("WEBVTT\n\n00:59:59.500 --> 01:00:03.500\nFish &amp; chips &lt;b&gt; cost 3 &lt; 5.\n")
    assert srt_of(cues) == "1\n00:59:59,500 --> 01:00:03,500\nFish & chips <b> cost 3 < 5.\n"


def test_nothing_said_is_a_file_without_cues() -> None:
    """Both are files that players take."""
    assert (vtt_of(()), srt_of(()), cues_of(())) == ("WEBVTT\n", "", ())


@pytest.mark.parametrize("timed", [True, False])
def test_long_sentences_are_cut(timed: bool) -> None:
    """Into cues of two lines of 42 characters and seven seconds, without losing a word or a moment."""
    cues = cues_of([sentence(LONG, timed=timed)])
    assert " ".join(cue.text for cue in cues).split() == LONG.split()
    assert max(len(line) for cue in cues for line in cue.text.split("\n")) <= 60
    assert max(cue.text.count("\n") for cue in cues) <= 1
    assert all(cue.end - cue.start <= 8 for cue in cues)
    assert all(before.end == after.start for before, after in itertools.pairwise(cues))
    assert (cues[0].start, cues[-1].end) == (0, 30)


def test_every_format_says_the_same() -> None:
    """What is written as WebVTT and SubRip reads back as the same cues, whatever the words."""
    value = [sentence("-->  &amp; 42", 1.0), sentence("7", 4.0), sentence("00:00:01,000 --> 00:00:02,000 x", 6.0)]
    cues = cues_of(value)
    assert read_captions(vtt_of(cues), "vtt") == cues
    assert len(read_captions(srt_of(cues[:2]), "srt")) == 2


def test_short_cues_stay_for_a_second_where_there_is_room() -> None:
    """And never into the next one."""
    first, second, last = cues_of(
        [sentence("Go!", 0.0, each=0.2), sentence("No!", 0.5, each=0.2), sentence("On!", 9.0)]
    )
    assert (first.end, second.end, last.end) == (0.5, 1.5, 10)


def test_words_without_spaces_are_cut_too() -> None:
    """A line of one word that never ends."""
    cues = cues_of([Sentence(text="今天下雨" * 50, start=0.0, end=20.0)])
    assert "".join(cue.text for cue in cues).replace("\n", "") == "今天下雨" * 50
    assert max(len(line) for cue in cues for line in cue.text.split("\n")) <= 42


def test_a_part_of_a_transcript() -> None:
    """Of a sentence that goes beyond, the words within; times stay those of the whole."""
    value = transcript(
        sentence("one two three four", 0.0), sentence("five six", 4.0), sentence("seven", 8.0, timed=False)
    )
    (first, second) = part_of(value, 1.0, 4.6)
    assert (first.text, first.start, first.end) == ("three four", 1.0, 2.0)
    assert (second.text, second.start, second.end) == ("five", 4.0, 4.5)
    assert [each.text for each in part_of(value, 8.0, 9.0)] == ["seven"]
    assert list(part_of(value, 2.0, 4.0)) == []
