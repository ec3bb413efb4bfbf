"""Sound is looked through block by block, and no word is cut in two."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pytest

from mediajobs_dagster.speech.stretches import BLOCK_S, LONGEST_S, RATE, Block, Floats, Span, blocks

Samples = npt.NDArray[np.int16]


def sound(seconds: float, *spoken: tuple[float, float]) -> Samples:
    """Silence, with something loud where somebody speaks."""
    made = np.zeros(int(seconds * RATE), dtype=np.int16)
    for start, end in spoken:
        made[int(start * RATE) : int(end * RATE)] = 8000
    return made


def loud(block: Floats) -> list[Span]:
    """A detector that goes by loudness, in pieces no longer than allowed."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], (np.abs(block) > 0.1).astype(np.int8), [0]))))
    most = LONGEST_S * RATE
    spans = [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]
    return [(at, min(at + most, end)) for start, end in spans for at in range(start, end, most)]


def looked_through(made: Samples) -> tuple[list[Block], list[tuple[float, float]]]:
    """The blocks, and the stretches in seconds."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sound.pcm"
        made.tofile(path)
        found = list(blocks(path, loud))
    return found, [(each.start / RATE, each.end / RATE) for block in found for each in block.stretches]


def test_a_block_ends_in_the_longest_pause() -> None:
    """Speech across the end of a block is whole."""
    end = BLOCK_S
    found, stretches = looked_through(sound(end + 60, (1, 20), (end - 25, end - 20), (end - 10, end + 5)))
    assert stretches == [(1, 20), (end - 25, end - 20), (end - 10, end + 5)]
    assert found[0].end / RATE == end - 15
    assert found[-1].end == (end + 60) * RATE


def test_without_a_pause_a_block_ends_at_its_end() -> None:
    """Whoever never stops is cut somewhere; nothing is left out, and nothing heard twice."""
    found, stretches = looked_through(sound(2.5 * BLOCK_S, (0, 2.5 * BLOCK_S)))
    assert stretches[0][0] == 0
    assert stretches[-1][1] == 2.5 * BLOCK_S
    assert all(before[1] == after[0] for before, after in pairwise(stretches))
    assert max(end - start for start, end in stretches) <= LONGEST_S
    assert len(found) == 3


def test_short_pauses_are_listened_to_with_the_speech() -> None:
    """Long ones are not: models make up words in silence."""
    _, stretches = looked_through(sound(60, (1, 5), (6, 9), (12, 14), (15, 32), (33, 50)))
    assert stretches == [(1, 9), (12, 32), (33, 50)]


@pytest.mark.parametrize("seconds", [0.0, 0.01, BLOCK_S, 3 * BLOCK_S])
def test_silence_has_no_stretches(seconds: float) -> None:
    """However long it is."""
    found, stretches = looked_through(sound(seconds))
    assert stretches == []
    assert sum(1 for _ in found) <= 4
    assert [block.end for block in found][-1:] == ([int(seconds * RATE)] if seconds else [])


def test_samples_are_what_was_written() -> None:
    """From -1 to 1."""
    ((block,), _) = looked_through(sound(1, (0.25, 0.5)))
    (stretch,) = block.stretches
    assert stretch.sound.dtype == np.float32
    assert set(np.unique(stretch.sound)) == {np.float32(8000 / 32768)}
