"""Tables that fit the terminal. An id is never cut: one that cannot be copied is useless.

Where the terminal is too narrow, columns that matter least are left out, names are cut in the middle, and text is
folded. Lines end where their text ends: no padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

_GAP = 2
_CUT = "…"
_LEAST_TEXT = 24
_RULE = 80
"""The widest rule below the heads where lines have no end, as in a pipe."""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    kind: Literal["whole", "name", "text"] = "whole"
    """`name`: may be cut in the middle. `text`: may be folded into several lines. `whole`: neither."""
    rank: int = 0
    """Left out where there is no room, the highest first; 0: never."""
    least_width: int = 12
    """Of a name: how wide it is at least, if it is as long as that."""
    below: bool = False
    """Where it is left out, it is shown on a line of its own below the row."""

    def least(self, natural: int) -> int:
        """The fewest characters it can do with, of `natural` ones."""
        return {"whole": natural, "name": min(natural, self.least_width), "text": min(natural, _LEAST_TEXT)}[self.kind]


@dataclass(frozen=True)
class Table:
    """Rows of cells below the names of their columns. Printed by a rich console."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Text]]
    title: str | None = None
    whole: bool = False
    """Whether nothing is left out or cut, however narrow the terminal is."""
    _heads: list[Text] = field(init=False, default_factory=list[Text])

    def __post_init__(self) -> None:
        """Prepare the heads."""
        self._heads.extend(Text(column.name, style="bold") for column in self.columns)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, for a terminal as wide as `options` say."""
        widths = self._widths(options.max_width)
        if self.title:
            yield Text(self.title, style="bold")
        if any(column.name for column in self.columns):
            yield _line(self._heads, widths)
            width = _total(widths)
            yield Text("─" * (width if console.is_terminal else min(width, _RULE)), style="dim")
        for row in self.rows:
            yield from self._lines(row, widths)
        yield Text()

    def _lines(self, row: Sequence[Text], widths: dict[int, int]) -> RenderResult:
        parts = {number: self._parts(number, row[number], width) for number, width in widths.items()}
        for position in range(max(map(len, parts.values()))):
            cells = [
                parts[number][position] if number in parts and position < len(parts[number]) else Text()
                for number in range(len(row))
            ]
            yield _line(cells, widths)
        for number, column in enumerate(self.columns):
            if column.below and number not in widths and row[number].plain not in ("", "–"):
                # One line, however long: a path that the terminal breaks by itself is still copied whole.
                yield Text("  └ ", style="dim", no_wrap=True, overflow="ignore").append_text(row[number])

    def _widths(self, available: int) -> dict[int, int]:
        """The width of each column that is shown, by its position."""
        natural = {
            number: max([cell_len(column.name), *(cell_len(row[number].plain) for row in self.rows)])
            for number, column in enumerate(self.columns)
        }
        if self.whole:
            return natural
        least = {number: self.columns[number].least(width) for number, width in natural.items()}
        for number in sorted(natural, key=lambda number: -self.columns[number].rank):
            if _total(least) <= available or not self.columns[number].rank:
                break
            del natural[number], least[number]
        # What is left is given to the narrowest first, so that short cells are not cut for the sake of a long one.
        room = available - _total(least)
        wanting = sorted((number for number in natural if natural[number] > least[number]), key=natural.__getitem__)
        for position, number in enumerate(wanting):
            given = max(0, min(natural[number] - least[number], room // (len(wanting) - position)))
            least[number] += given
            room -= given
        return least

    def _parts(self, number: int, text: Text, width: int) -> list[Text]:
        """The lines of one cell."""
        if cell_len(text.plain) <= width:
            return [text]
        match self.columns[number].kind:
            case "name":
                return [Text(shortened(text.plain, width), style=text.style)]
            case "text":
                return [Text(line, style=text.style) for line in _folded(text.plain, width)]
            case _:
                return [text]


def shortened(text: str, width: int) -> str:
    """`text`, cut in the middle to `width` columns of the terminal: both ends of a name tell it from others."""
    if cell_len(text) <= width:
        return text
    head = (width - 1) // 3  # names that begin alike, such as takes of one scene, differ at their end
    tail = width - 1 - head
    end = ""
    for character in reversed(text):
        if cell_len(character + end) > tail:
            break
        end = character + end
    return set_cell_size(text, head).rstrip() + _CUT + end


def _folded(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken between words where that is possible."""
    lines, line = list[str](), ""
    for word in text.split(" "):
        if line and cell_len(f"{line} {word}") > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
        *full, line = chop_cells(line, width) or [""]
        lines += full
    return [*lines, line]


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + _GAP * max(0, len(widths) - 1)


def _line(cells: Sequence[Text], widths: dict[int, int]) -> Text:
    """The cells that have a width side by side; nothing follows the last one."""
    made, gap = Text(no_wrap=True, overflow="ignore"), 0
    for number, width in widths.items():
        if cells[number].plain:
            made.append(" " * gap).append_text(cells[number])
            gap = max(0, width - cell_len(cells[number].plain)) + _GAP
        else:
            gap += width + _GAP
    return made
