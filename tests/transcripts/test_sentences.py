"""Words become sentences, and so do cues of subtitles."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest

from mediajobs_dagster.transcripts.model import Method, Word
from mediajobs_dagster.transcripts.reading import TranscriptError, read_transcript, transcript_of
from mediajobs_dagster.transcripts.sentences import sentences_of, sentences_of_cues
from mediajobs_dagster.transcripts.subtitles import Cue, read_captions


def words(text: str, *, pause_after: str = "") -> list[Word]:
    """The words of a text, half a second each; after one of them there is a pause of 3 s."""
    made: list[Word] = []
    at = 0.0
    for each in text.split():
        made.append(Word(text=each, start=at, end=at + 0.5, confidence=0.9))
        at += 3.5 if each == pause_after else 0.5
    return made


def cue(start: float, end: float, text: str) -> Cue:
    """A cue."""
    return Cue(Fraction(start), Fraction(end), text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("It rains. Who cares? I do!", ["It rains.", "Who cares?", "I do!"]),
        ("Dr. Smith met J. R. Hartley. They spoke.", ["Dr. Smith met J. R. Hartley.", "They spoke."]),
        ("It costs 3.5 dollars e.g. here. Yes.", ["It costs 3.5 dollars e.g. here.", "Yes."]),
        ('He said "go." Then he left.', ['He said "go."', "Then he left."]),
        ("no full stop at all", ["no full stop at all"]),
        ("an end. without a capital", ["an end. without a capital"]),
        ("", []),
    ],
)
def test_where_sentences_end(text: str, told: list[str]) -> None:
    """At full stops, but for those of abbreviations, names and numbers."""
    assert [sentence.text for sentence in sentences_of(words(text))] == told


def test_a_long_pause_ends_a_sentence() -> None:
    """Speech recognition may leave out the full stop."""
    first, second = sentences_of(words("that was it now we go on", pause_after="it"))
    assert (first.text, first.start, first.end) == ("that was it", 0.0, 1.5)
    assert (second.text, second.start) == ("now we go on", 4.5)
    assert second.words[0].confidence == 0.9


def test_no_sentence_is_endless() -> None:
    """Without any full stop, a comma ends one of forty words, and eighty are the most."""
    long = sentences_of(words("word " * 45 + "pause, " + "word " * 200))
    assert [len(sentence.words) for sentence in long] == [46, 80, 80, 40]


def test_languages_without_spaces() -> None:
    """Their words are put together as they are."""
    (first, second) = sentences_of(words("今天 下雨。 我 知道。"), spaced=False)
    assert (first.text, second.text) == ("今天下雨。", "我知道。")


def test_cues_become_sentences() -> None:
    """A sentence over two cues is one; times within a cue are worked out from its letters."""
    first, second = sentences_of_cues([cue(1, 2, "The first\nsentence goes"), cue(2, 4, "on here. Second one.")])
    assert (first.text, first.start) == ("The first sentence goes on here.", 1.0)
    assert second.text == "Second one."
    assert first.end == pytest.approx(2 + 2 * 7 / 17)
    assert (second.start, second.end) == (first.end, 4.0)
    assert (first.words, second.words) == ((), ())


def test_cues_without_punctuation_stay_as_they_are() -> None:
    """There is nothing to go by."""
    told = sentences_of_cues([cue(0, 1, "so this is"), cue(1, 2, "what machines write")])
    assert [(sentence.text, sentence.start) for sentence in told] == [("so this is", 0.0), ("what machines write", 1.0)]


def test_what_tells_of_sounds_is_no_speech() -> None:
    """Neither notes nor what stands in brackets; words that are sung are words."""
    told = sentences_of_cues(
        [cue(0, 1, "[Music]"), cue(1, 2, "(door slams)\nCome in."), cue(2, 3, "♪ La la. ♪"), cue(3, 4, "♪")]
    )
    assert [sentence.text for sentence in told] == ["Come in.", "La la."]


def test_rolling_captions_say_everything_once() -> None:
    """Each cue shows the line before again, and a short one moves the lines up."""
    rolling = [
        cue(0, 2, "one two"),
        cue(2, 2.01, "one two"),
        cue(2.01, 4, "one two\nthree four"),
        cue(4, 4.01, "three four"),
        cue(4.01, 6, "three four\nfive six."),
    ]
    assert " ".join(sentence.text for sentence in sentences_of_cues(rolling)) == "one two three four five six."


def test_captions_of_a_video_site() -> None:
    """They roll, have a line of one blank, and times of words between tags."""
    text = (
        "WEBVTT\nKind: captions\nLanguage: en\n\n"
        "00:00:00.080 --> 00:00:02.000 align:start position:0%\n \n"
        "good<00:00:00.300><c> morning</c><00:00:00.800><c> all</c>\n\n"
        "00:00:02.000 --> 00:00:02.010 align:start position:0%\ngood morning all\n \n\n"
        "00:00:02.010 --> 00:00:04.000 align:start position:0%\ngood morning all\n"
        "we<00:00:02.300><c> begin</c>\n\n"
    )
    told = sentences_of_cues(read_captions(text, "vtt"))
    assert [(sentence.text, sentence.start) for sentence in told] == [("good morning all", 0.08), ("we begin", 2.01)]


def test_beyond_the_end_nothing_is_said() -> None:
    """Subtitles may be those of a longer version."""
    cues = [cue(0, 1, "Within."), cue(50, 51, "Beyond.")]
    made = transcript_of(cues, method=Method.SUBTITLES, language="en", duration_seconds=10.0)
    assert made.text == "Within."
    assert transcript_of(cues, method=Method.SUBTITLES, language=None, duration_seconds=0).text == "Within. Beyond."


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"version": "transcript_v1"}', b'{"version": "transcript_v9"}', b"\xff"]
)
def test_a_damaged_document(content: bytes) -> None:
    """It is told what is wrong with it."""
    with pytest.raises(TranscriptError, match="no transcript of version transcript_v1"):
        read_transcript(content)


def test_a_run_of_blanks_costs_no_time() -> None:
    """However it might be shared out among blanks, notes and blanks again."""
    for text in ("-" + " " * 1900 + "x", "♪ " * 900 + "x", ">" * 1900 + "x"):
        began = time.process_time()
        sentences_of_cues([cue(0, 1, text)] * 20)
        assert time.process_time() - began < 5.0
