"""Writes attempts to files for other programs, while it reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import IO, Any, Literal

from pydantic.alias_generators import to_camel

from mediajobs_dagster.errors import ExtraMissingError
from mediajobs_dagster.history.frames import ATTEMPT_COLUMNS, ColumnType, Frame, Names, frames_of, with_names
from mediajobs_dagster.models import Attempt
from mediajobs_dagster.printable import printable, printable_json

ExportFormat = Literal["json", "jsonl", "csv"]

_TEXTS = [name for name, kind in ATTEMPT_COLUMNS.items() if kind is ColumnType.TEXT]


def export(attempts: Iterable[Attempt], format: ExportFormat, out: IO[str], names: Names) -> int:
    """Write attempts to `out`, each with what people call its subject (`names`); returns how many.

    `json` is one array, `jsonl` one object a line, both camelCase. `csv` has a header and the columns of
    `frames.ATTEMPT_COLUMNS`, in camelCase too, with the result as JSON; open its file with `newline=""`.
    """
    if format == "csv":
        return _export_csv(attempts, out, names)
    if format == "jsonl":
        return _export_objects(attempts, out, names, before="", between="\n", after="\n", empty="")
    return _export_objects(attempts, out, names, before="[\n", between=",\n", after="\n]\n", empty="[]\n")


def export_parquet(attempts: Iterable[Attempt], out: IO[bytes], names: Names) -> int:
    """Write attempts to `out` as a Parquet file with the columns of the CSV, typed; returns how many.

    Raises ExtraMissingError when pyarrow is not installed.
    """
    pyarrow, parquet = _arrow()
    schema = pyarrow.schema([(to_camel(name), _arrow_type(pyarrow, kind)) for name, kind in ATTEMPT_COLUMNS.items()])
    writer: Any = None
    count = 0
    try:
        for frame in frames_of(attempts, names):
            table = pyarrow.Table.from_pandas(_camel(frame), schema=schema, preserve_index=False)
            # The first table's schema remembers pandas' types, so that a column of whole numbers with missing values
            # is read back as whole numbers.
            writer = writer or parquet.ParquetWriter(out, table.schema, compression="zstd")
            writer.write_table(table)
            count += len(frame)
    finally:
        if writer is not None:
            writer.close()
    return count


def _export_objects(
    attempts: Iterable[Attempt], out: IO[str], names: Names, *, before: str, between: str, after: str, empty: str
) -> int:
    count = 0
    for count, (attempt, name) in enumerate(with_names(attempts, names), start=1):
        out.write(before if count == 1 else between)
        document = {**attempt.to_json(), "subjectName": name}
        out.write(printable_json(json.dumps(document, ensure_ascii=False)))
    out.write(after if count else empty)
    return count


def _export_csv(attempts: Iterable[Attempt], out: IO[str], names: Names) -> int:
    count = 0
    for number, frame in enumerate(frames_of(attempts, names)):
        for name in _TEXTS:
            frame[name] = frame[name].map(csv_cell, na_action="ignore")
        _camel(frame).to_csv(
            out, index=False, header=number == 0, lineterminator="\r\n", date_format="%Y-%m-%dT%H:%M:%S.%fZ"
        )
        count += len(frame)
    return count


def csv_cell(value: object) -> object:
    """A JSON value as a cell: objects and arrays as JSON, no formula that a spreadsheet runs, no control characters."""
    if isinstance(value, dict | list):
        return printable_json(json.dumps(value, ensure_ascii=False))
    # File names and messages come from outside, https://owasp.org/www-community/attacks/CSV_Injection
    if isinstance(value, str):
        return printable(f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value)
    return value


def _camel(frame: Frame) -> Frame:
    return frame.rename(columns=to_camel)


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # pyright: ignore[reportMissingTypeStubs]  # its own are no use
        from pyarrow import parquet  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise ExtraMissingError(
            'Parquet files are written by pyarrow, which is not installed. Install the extra "parquet": '
            "pip install 'mediajobs[parquet]'."
        ) from error
    return pyarrow, parquet


def _arrow_type(pyarrow: Any, kind: ColumnType) -> Any:
    types = {
        ColumnType.TEXT: pyarrow.string(),
        ColumnType.WHOLE: pyarrow.int64(),
        ColumnType.NUMBER: pyarrow.float64(),
        ColumnType.FLAG: pyarrow.bool_(),
        ColumnType.MOMENT: pyarrow.timestamp("us", tz="UTC"),
    }
    return types[kind]
