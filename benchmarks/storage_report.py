"""How fast a storage report is made, and the memory it takes, by the number of objects.

    python -m benchmarks.storage_report [--objects 200000] [--quick] [--json FILE]

A local folder of empty files, four for each upload, and a history that names most of them. Each report is made in a
process of its own, whose peak of memory is that of the kernel.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

from benchmarks.report import Row, options, print_report
from mediajobs_dagster.models import Upload, UploadRole, new_id, utc_now
from mediajobs_dagster.system import MediaJobs

_CHUNK = 1000


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--objects", type=int, default=200_000)
    arguments = parser.parse_args()
    most = 8000 if arguments.quick else arguments.objects
    rows = [row for count in (most // 8, most) for row in _measured(count)]
    print_report("A storage report", rows, json_file=arguments.json)


def _measured(objects: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="storage-report-") as folder:
        home = Path(folder)
        _fill(home, objects)
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, peak_mb = pool.apply(_report, (home,))
    return [
        Row(f"{objects:,} objects", objects / seconds, "/s"),
        Row(f"{objects:,} objects, peak of memory", peak_mb, "MB"),
    ]


def _fill(home: Path, objects: int) -> None:
    """One in four is the content of an upload; the others belong to attempts that the history does not know."""
    with MediaJobs.open(_env_file=None, home=home) as media:
        for start in range(0, objects // 4, _CHUNK):
            uploads = [_upload() for _ in range(min(_CHUNK, objects // 4 - start))]
            media.history.uploads.register(uploads, lambda _: [])
            for upload in uploads:
                _touch(home / "objects" / upload.storage_key)
                for prefix in ("thumbs", "proxies", "envelopes"):
                    _touch(home / "objects" / prefix / "uploads" / upload.id / new_id() / "output")


def _upload() -> Upload:
    upload_id = new_id()
    return Upload(
        id=upload_id,
        role=UploadRole.SOURCE,
        storage_key=f"uploads/{upload_id}/source",
        filename="clip.mp4",
        bytes=0,
        etag="e",
        created_at=utc_now(),
        trace_id="0" * 32,
    )


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch()


def _report(home: Path) -> tuple[float, float]:
    with MediaJobs.open(_env_file=None, home=home) as media:
        began = time.perf_counter()
        media.inventory.take()
        return time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
