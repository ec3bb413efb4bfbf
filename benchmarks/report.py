"""What all benchmarks share: rounds side by side, one table, one JSON, and a description of the machine.

    parser = options(__doc__)                      # with --quick and --json FILE
    arguments = parser.parse_args()
    pairs = side_by_side(rounds=5, baseline=bare_seconds, ours=our_seconds)
    print_report("Title", [Row.of_pairs("proxy of 60 s", pairs, budget=1.03)], json_file=arguments.json)

Ratios are computed pair by pair, so that a busy moment of the machine affects both halves of a pair.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic.alias_generators import to_camel
from rich import box
from rich.console import Console
from rich.table import Table

from mediajobs_dagster.errors import FfmpegMissingError
from mediajobs_dagster.media.budget import granted_budget
from mediajobs_dagster.media.tools import find_tools


@dataclass(frozen=True)
class Pairs:
    """Wall seconds of the same work, done by a baseline and by us, one pair a round."""

    baseline_s: tuple[float, ...]
    ours_s: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ours over the baseline's, pair by pair."""
        return tuple(ours / baseline for ours, baseline in zip(self.ours_s, self.baseline_s, strict=True))


@dataclass(frozen=True)
class Row:
    """One figure and its budget."""

    what: str
    figure: float
    """The measured value, which the budget limits."""
    unit: str = "x"
    """The unit of the figure: `x` (ours over the baseline), `ms`, `s`, `MB`, `/s`, …"""
    budget: float | None = None
    """None: no budget, the figure is for information."""
    at_least: bool = False
    """Whether the budget is a lower limit; if not, it is an upper limit."""
    rounds: int = 1
    baseline_s: float | None = None
    """Median wall seconds of the baseline."""
    ours_s: float | None = None
    """Median wall seconds of ours."""
    spread: tuple[float, float] | None = None
    """The lowest and the highest figure of all rounds."""
    note: str = ""
    details: Mapping[str, object] = field(default_factory=dict[str, object])
    """Further figures, only for the JSON."""

    @property
    def held(self) -> bool | None:
        """Whether the budget is kept; None if there is none."""
        if self.budget is None:
            return None
        return self.figure >= self.budget if self.at_least else self.figure <= self.budget

    @classmethod
    def of_pairs(
        cls,
        what: str,
        pairs: Pairs,
        *,
        budget: float | None = None,
        throughput: bool = False,
        note: str = "",
        details: Mapping[str, object] | None = None,
    ) -> Row:
        """The median ratio of pairs. With `throughput` it is that of work per second, and the budget is a minimum."""
        ratios = [1 / ratio if throughput else ratio for ratio in pairs.ratios]
        return cls(
            what=what,
            figure=statistics.median(ratios),
            budget=budget,
            at_least=throughput,
            rounds=len(ratios),
            baseline_s=statistics.median(pairs.baseline_s),
            ours_s=statistics.median(pairs.ours_s),
            spread=(min(ratios), max(ratios)),
            note=note,
            details={"baselineS": pairs.baseline_s, "oursS": pairs.ours_s, **(details or {})},
        )

    def to_json(self) -> dict[str, object]:
        """All fields, and whether the budget is kept."""
        fields: dict[str, object] = {to_camel(name): value for name, value in asdict(self).items()}
        return {**fields, "held": self.held}


def side_by_side(rounds: int, baseline: Callable[[], float], ours: Callable[[], float]) -> Pairs:
    """Run both, `rounds` times, taking turns at going first; each returns the seconds it took."""
    pairs: list[tuple[float, float]] = []
    for number in range(rounds):
        if number % 2:
            taken = ours()
            pairs.append((baseline(), taken))
        else:
            pairs.append((baseline(), ours()))
    return Pairs(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


def options(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options of every benchmark."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything: under a minute, and less sure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE too")
    return parser


def print_report(title: str, rows: Sequence[Row], *, json_file: Path | None = None, notes: Sequence[str] = ()) -> None:
    """Print a table and the machine it was measured on; write both to `json_file`, if given."""
    console = Console(highlight=False, width=None if os.isatty(1) else 140)
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("What")
    for heading in ("Rounds", "Baseline", "Ours", "Figure", "Range", "Budget"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Held")
    table.add_column("Note", style="dim")
    for row in rows:
        table.add_row(row.what, str(row.rounds), *_cells(row), row.note)
    console.print(table)
    for note in notes:
        console.print(note)
    console.print(_machine_line(machine()), style="dim")
    if json_file:
        document = {
            "title": title,
            "measuredAt": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "rows": [row.to_json() for row in rows],
            "notes": list(notes),
        }
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(document, indent=2) + "\n")


def _cells(row: Row) -> list[str]:
    limit = "" if row.budget is None else f"{'≥' if row.at_least else '≤'} {_figure(row.budget, row.unit)}"
    held = {None: "", True: "[green]yes[/]", False: "[red]no[/]"}[row.held]
    spread = "" if row.spread is None else "…".join(_number(end) for end in row.spread)
    return [_seconds(row.baseline_s), _seconds(row.ours_s), _figure(row.figure, row.unit), spread, limit, held]


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3f} s"


def _figure(value: float, unit: str) -> str:
    return f"{_number(value)}{'' if unit in ('x', '/s') else ' '}{unit}"


def _number(value: float) -> str:
    # Three or four significant digits, and no exponents.
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}"


def machine() -> dict[str, object]:
    """The facts about this machine that the figures depend on."""
    budget = granted_budget()
    try:
        ffmpeg = find_tools().version
    except FfmpegMissingError:
        ffmpeg = None
    return {
        "cpu": _cpu_model(),
        "cores": budget.cores,
        "memoryGb": round(budget.memory_bytes / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "ffmpeg": ffmpeg,
    }


def _machine_line(facts: Mapping[str, object]) -> str:
    return (
        f"{facts['cpu']}, {facts['cores']:g} cores, {facts['memoryGb']} GiB, {facts['system']}, "
        f"Python {facts['python']}, ffmpeg {facts['ffmpeg'] or 'missing'}"
    )


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # macOS
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
