"""Attempts as files for other programs, written as they are read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from typing import Literal, TextIO

from mediajobs_dagster.models import Attempt

ExportFormat = Literal["json", "jsonl", "csv"]

_CSV_COLUMNS = tuple(field.alias or name for name, field in Attempt.model_fields.items() if name != "manifest")


def export(attempts: Iterable[Attempt], format: ExportFormat, out: TextIO) -> int:
    """Write attempts to `out`; how many there were.

    `json` is one array, `jsonl` one object a line, both camelCase. `csv` has a header and a column for each field but
    the manifest, with the result as JSON; open its file with `newline=""`.
    """
    if format == "csv":
        return _export_csv(attempts, out)
    if format == "jsonl":
        return _export_objects(attempts, out, before="", between="\n", after="\n", empty="")
    return _export_objects(attempts, out, before="[\n", between=",\n", after="\n]\n", empty="[]\n")


def _export_objects(
    attempts: Iterable[Attempt], out: TextIO, *, before: str, between: str, after: str, empty: str
) -> int:
    count = 0
    for count, attempt in enumerate(attempts, start=1):
        out.write(before if count == 1 else between)
        out.write(json.dumps(attempt.to_json(), ensure_ascii=False))
    out.write(after if count else empty)
    return count


def _export_csv(attempts: Iterable[Attempt], out: TextIO) -> int:
    writer = csv.writer(out)
    writer.writerow(_CSV_COLUMNS)
    count = 0
    for attempt in attempts:
        row = attempt.to_json()
        writer.writerow(csv_cell(row[column]) for column in _CSV_COLUMNS)
        count += 1
    return count


def csv_cell(value: object) -> object:
    """A JSON value as a cell: objects and arrays as JSON, and no text that a spreadsheet would run as a formula."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    # File names and messages come from strangers, https://owasp.org/www-community/attacks/CSV_Injection
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
