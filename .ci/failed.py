"""Names the tests that failed, from the reports of pytest: one line each, and what they said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

_LINES = 5
"""Of a message; the log above has it whole."""


def failed(report: Path) -> Iterator[str]:
    """The tests of a report that failed, or whose fixtures did."""
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        for kind in ("failure", "error"):
            for fault in case.findall(kind):
                said = (fault.get("message") or fault.text or "").strip().splitlines()[:_LINES]
                name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
                yield "\n    ".join([f"{kind.upper()} {name}", *said])


def main(reports: list[Path]) -> None:
    """Print all of them; where no report has any, it was not a test that failed, or the tests were broken off."""
    lines = [line for report in reports if report.exists() for line in failed(report)]
    sys.stdout.write(
        "\n".join(["", "Failed tests:", *(lines or ["none on record; what went wrong stands above"])]) + "\n"
    )


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
