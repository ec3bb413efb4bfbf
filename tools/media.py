"""`python -m tools.media`: writes docs/media.md, what a user may expect of which media, from the zoo of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.zoo.cases import CASES
from tests.zoo.known import read_known
from tools.reference.markdown import page, section, table

PAGE = Path(__file__).parents[1] / "docs" / "media.md"

_ASPECTS = {"beeps": "times of the sound", "colours": "colours", "frames": "some frames", "length": "length"}
"""What may be wrong, in a user's words."""
_INTRODUCTION = """\
What thumbnail, proxy, envelope and export make of media of all kinds. The rule behind every line: the outputs show and
sound like what a person gets from the file in a player that does everything right.

- Time 0 is the first moment of picture or sound, whichever begins first. An edit counts from there.
- Before the sound begins, after it has ended and in its holes there is silence. The last picture stays while the sound
  goes on.
- A file lasts as long as its media, whatever its header says: the longer of the two tracks that are used.
- Of several tracks the one with the default flag is used; without a flag, the first one that can be decoded. A still
  picture beside a moving one is not used.
- Pictures come out upright, in square pixels, deinterlaced, in the colours that are meant, and say which those are."""


def media_page() -> str:
    """The page: one table a group, one line a kind of media."""
    groups = map(_section, dict.fromkeys(_groups()))
    return page("What to expect of which media", _INTRODUCTION, *groups, *_not_right_yet(), _ending())


def _groups() -> Iterator[str]:
    return (case.group for case in CASES.values())


def _section(group: str) -> str:
    promises = {case.kind: case.promise for case in CASES.values() if case.group == group}
    return section(group, table(("A file with", "What you may expect"), promises.items()))


def _not_right_yet() -> Iterator[str]:
    """What the zoo finds wrong: the promises that do not hold for all files of their kind."""
    wrong: dict[tuple[str, str], list[str]] = {}
    for (job, aspect), names in sorted(read_known().items()):
        for name in sorted(names):
            wrong.setdefault((CASES[name].kind, name), []).append(f"{_ASPECTS[aspect]} of the {job}")
    rows = [(kind, f"{', '.join(what)} (`{name}`)") for (kind, name), what in wrong.items()]
    if rows:
        yield section("Not right yet", table(("A file with", "What is not as promised, for one such file"), rows))


def _ending() -> str:
    return (
        f"Each line is held by files that are made for it, {len(CASES)} in all: `make zoo` does every job on each of "
        "them, and the tests do so with a sample."
    )


if __name__ == "__main__":
    PAGE.write_text(media_page())
