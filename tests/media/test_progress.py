"""Blocks of ffmpeg's `-progress` become how far it is."""

from __future__ import annotations

from mediajobs_dagster.media.progress import ProgressReader
from mediajobs_dagster.models import Progress


def block(frame: int = 0, out: str = "N/A", size: int = 0, word: str = "continue") -> bytes:
    """One block as ffmpeg writes it."""
    return f"frame={frame}\nfps=0.0\nout_time_us={out}\ntotal_size={size}\nspeed=1x\nprogress={word}\n".encode()


def fractions(media_seconds: float | None, *outs: str) -> list[float | None]:
    """The fractions told for the given times in turn, and at the end."""
    seen: list[Progress] = []
    reader = ProgressReader(media_seconds, seen.append)
    for out in outs:
        reader.feed(block(out=out))
    reader.finish()
    return [step.fraction for step in seen]


def test_the_fraction_never_falls_and_waits_for_the_end() -> None:
    """Times that go back, that are not known yet or that overshoot do not show; 1 comes with the end alone."""
    assert fractions(10, "N/A", "-20000", "5000000", "4000000", "12000000") == [0, 0, 0.5, 0.5, 0.999, 1]


def test_without_a_length_there_is_no_fraction() -> None:
    """Nobody is told a share of an unknown whole."""
    assert fractions(None, "5000000") == [None, None]


def test_only_figures_that_change_are_movement() -> None:
    """A process that repeats itself has not got further; a block in pieces counts once, when it is whole."""
    reader = ProgressReader(10, None)
    assert reader.feed(block(frame=1, out="100"))
    assert not reader.feed(block(frame=1, out="100"))
    assert reader.feed(block(frame=1, out="100", size=5))
    whole = block(frame=2, out="200", size=5, word="end")
    assert not reader.feed(whole[:30])
    assert not reader.ended
    assert reader.feed(whole[30:])
    assert (reader.ended, reader.frames, reader.out_seconds) == (True, 2, 0.0002)
