"""Tables fit the terminal, and what can be copied is whole."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len

from mediajobs_dagster.cli import display
from mediajobs_dagster.cli.table import Column, shortened
from mediajobs_dagster.models import new_id

ID = new_id()
COLUMNS = (
    Column("Job"),
    Column("Makes"),
    Column("Of", "name"),
    Column("Note", "text", rank=1, below=True),
    Column("Created", rank=2),
    Column("Trace", rank=3),
)
NAME = "A very long name of a holiday at the seaside, part two.mp4"
NOTE = "STORAGE_MISSING: There is no such object, so add the file again"
ROW = (ID, "audio_envelope", NAME, NOTE, "2026-03-04 12:00:00", "f" * 32)


def lines(width: int, *, columns: tuple[Column | str, ...] = COLUMNS, whole: bool = False) -> list[str]:
    """What a terminal of that width gets."""
    out = io.StringIO()
    console = display.Terminal(file=out, width=width, highlight=False)
    console.print(display.table(columns, [ROW, (ID, "thumbnail", "a.mp4", None, None, None)], whole=whole))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_a_table_is_no_wider_than_the_terminal(width: int) -> None:
    """Ids stay whole in one line; of a name both ends are shown; what has no room goes below the row."""
    shown = lines(width)
    assert max(map(cell_len, shown)) <= width
    assert sum(ID in line for line in shown) == 2
    (first, *_) = [line for line in shown if ID in line]
    assert "A v" in first
    assert "wo.mp4" in first
    words = " ".join(" ".join(shown).split())
    assert ("└ STORAGE_MISSING" in words) == (width == 80)
    assert "STORAGE_MISSING" in words


def test_what_matters_least_is_left_out_first() -> None:
    """The higher the rank, the sooner; with room for all, all is there."""
    heads = {width: lines(width)[0].split() for width in (80, 120, 160, 300)}
    assert heads[80] == ["Job", "Makes", "Of"]
    assert heads[120] == ["Job", "Makes", "Of", "Note", "Created"]
    assert heads[300] == ["Job", "Makes", "Of", "Note", "Created", "Trace"]
    assert heads[160] == heads[300]


def test_nothing_is_left_out_of_a_whole_table() -> None:
    """However narrow the terminal: it wraps what it must."""
    (row, _) = [line for line in lines(40, whole=True) if ID in line]
    assert row.split("  ")[0] == ID
    assert NAME in row
    assert NOTE in row


def test_what_stands_below_a_row_is_one_line() -> None:
    """A path that was broken into lines could not be copied."""
    path = f"/data/objects/proxies/uploads/{ID}/{ID}/edit_proxy.mp4"
    out = io.StringIO()
    console = display.Terminal(file=out, width=80, highlight=False)
    columns = (Column("Makes"), Column("Output", rank=1, below=True))
    console.print(display.table(columns, [("edit_proxy", path)]))
    assert f"  └ {path}\n" in out.getvalue()


def test_lines_end_where_their_text_ends() -> None:
    """No padding, for those who read them by program."""
    assert [line for line in lines(300) if line != line.rstrip()] == []


@pytest.mark.parametrize("width", [5, 12, 13, 30])
def test_a_name_is_cut_in_the_middle(width: int) -> None:
    """To the columns it takes on a terminal, where some characters take two."""
    for name in (NAME, "旅行の動画・第二部・海辺の家.mp4", "e\u0301" * 40):
        cut = shortened(name, width)
        assert cell_len(cut) <= width
        assert "…" in cut or cut == name
    assert shortened("short", width) == "short"


def test_piped_output_is_as_wide_as_it_needs_to_be(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless COLUMNS says how wide."""
    monkeypatch.delenv("COLUMNS", raising=False)
    display.console().print(display.table(COLUMNS, [ROW]))
    assert NAME in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "80")
    display.console().print(display.table(COLUMNS, [ROW]))
    printed = capsys.readouterr().out
    assert NAME not in printed
    assert max(map(cell_len, printed.splitlines())) <= 80


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (59.4, "59 s"), (185, "3 min 05 s"), (7805, "2 h 10 min"), (300_000, "3 days")],
)
def test_times_to_wait(seconds: float, said: str) -> None:
    assert display.span(seconds) == said
