"""Parts that are made on first use, by each process for itself."""

from __future__ import annotations

import os

import pytest

from mediajobs_dagster.attempts.once import Once


def test_a_part_is_made_once_in_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """And closed by the process that made it: a fork has it in its memory, but it is not its own."""
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    part = Once(make)
    assert part.forget() is None
    assert part.get() is part.get() is made[0]
    own = os.getpid()
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: own + 1)
        assert part.get() is part.get() is made[1]
    assert part.forget() is None
    assert part.get() is part.forget() is made[2]
    assert part.forget() is None
    assert len(made) == 3
