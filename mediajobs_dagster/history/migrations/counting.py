"""The triggers: they count jobs, uploads and ended attempts in the transaction that changes them.

Triggers, because a count has to stay right whichever statement changes a row, and because they cost no round trip.
A migration that has SQLite copy a table (`batch_alter_table`) loses its triggers, and has to create them again.
"""

from __future__ import annotations

from collections.abc import Sequence

_COUNT_JOB = """
INSERT INTO job_counts (job_type, status, slot, jobs) VALUES ({row}.job_type, {row}.status, {slot}, {sign}1)
ON CONFLICT (job_type, status, slot) DO UPDATE SET jobs = job_counts.jobs + excluded.jobs;"""

_COUNT_UPLOAD = """
INSERT INTO upload_days (day, slot, uploads, bytes, media_ms)
VALUES ({day}, {slot}, {sign}1, {sign}{row}.bytes, {sign}coalesce({row}.media_ms, 0))
ON CONFLICT (day, slot) DO UPDATE SET uploads = upload_days.uploads + excluded.uploads,
    bytes = upload_days.bytes + excluded.bytes, media_ms = upload_days.media_ms + excluded.media_ms;"""

ENTRY_0001 = ("created_at", "job_name", "status", "error_code", "host", "duration_ms", "output_files", "output_bytes")
"""The columns that an attempt's entry took from its row in schema 0001."""
ENTRY_0002 = (*ENTRY_0001, "rtf", "media_seconds", "cpu_seconds", "bytes_in", "bytes_out", "wasted_ms")
"""The columns that it takes since schema 0002."""

_ENDS = "OLD.status = 'running' AND NEW.status <> 'running'"
_BEGINS_ENDED = "NEW.status <> 'running'"
_CHANGES_COUNT = "OLD.status <> NEW.status OR OLD.job_type <> NEW.job_type"

FUNCTIONS = ("count_new_jobs", "count_job", "count_new_uploads", "count_upload", "enter_attempt")
"""What the triggers call on PostgreSQL."""


def triggers(dialect: str) -> list[str]:
    """The statements that create the triggers of schema 0001, and on PostgreSQL the functions that they call."""
    return _postgres() if dialect == "postgresql" else _sqlite()


def attempt_triggers(dialect: str, entry: Sequence[str]) -> list[str]:
    """The statements that make triggers copy the columns `entry` of ended attempts into `metric_entries`.

    On SQLite the triggers must not exist yet. On PostgreSQL they stay, and the function that they call is replaced.
    """
    return [_postgres_entering(entry)] if dialect == "postgresql" else _sqlite_entering(entry)


def _entering(entry: Sequence[str]) -> str:
    values = ", ".join(f"NEW.{name}" for name in entry)
    return f"\nINSERT INTO metric_entries ({', '.join(entry)}) VALUES ({values});"


def _sqlite_trigger(name: str, event: str, actions: str, *, when: str = "") -> str:
    return f"CREATE TRIGGER {name} AFTER {event} {when and f'WHEN {when}'} BEGIN {actions} END"


def _sqlite_entering(entry: Sequence[str]) -> list[str]:
    enter = _entering(entry)
    return [
        _sqlite_trigger("job_history_entered_ended", "INSERT ON job_history", enter, when=_BEGINS_ENDED),
        _sqlite_trigger("job_history_entered", "UPDATE OF status ON job_history", enter, when=_ENDS),
    ]


def _sqlite() -> list[str]:
    trigger = _sqlite_trigger

    def job(row: str, sign: str = "") -> str:
        return _COUNT_JOB.format(row=row, sign=sign, slot=0)

    def upload(row: str, sign: str = "") -> str:
        # Moments are kept as text, the date first.
        return _COUNT_UPLOAD.format(row=row, sign=sign, slot=0, day=f"substr({row}.created_at, 1, 10)")

    return [
        trigger("jobs_counted_in", "INSERT ON jobs", job("NEW")),
        trigger(
            "jobs_counted_on", "UPDATE OF status, job_type ON jobs", job("OLD", "-") + job("NEW"), when=_CHANGES_COUNT
        ),
        trigger("jobs_counted_out", "DELETE ON jobs", job("OLD", "-")),
        trigger("uploads_counted_in", "INSERT ON uploads", upload("NEW")),
        trigger(
            "uploads_counted_on", "UPDATE OF bytes, media_ms, created_at ON uploads", upload("OLD", "-") + upload("NEW")
        ),
        trigger("uploads_counted_out", "DELETE ON uploads", upload("OLD", "-")),
        *_sqlite_entering(ENTRY_0001),
    ]


# Many rows come in one statement, and are counted in one: a row that is changed again and again within a transaction
# gets slower with each change.
_COUNT_NEW_JOBS = """
INSERT INTO job_counts (job_type, status, slot, jobs)
SELECT job_type, status, txid_current(), count(*) FROM added GROUP BY job_type, status
ON CONFLICT (job_type, status, slot) DO UPDATE SET jobs = job_counts.jobs + excluded.jobs;"""

_COUNT_NEW_UPLOADS = """
INSERT INTO upload_days (day, slot, uploads, bytes, media_ms)
SELECT (created_at AT TIME ZONE 'UTC')::date, txid_current(), count(*), sum(bytes), coalesce(sum(media_ms), 0)
FROM added GROUP BY 1
ON CONFLICT (day, slot) DO UPDATE SET uploads = upload_days.uploads + excluded.uploads,
    bytes = upload_days.bytes + excluded.bytes, media_ms = upload_days.media_ms + excluded.media_ms;"""


def _postgres_function(name: str, actions: str) -> str:
    body = f"BEGIN {actions} RETURN NULL; END"
    return f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"


def _postgres_entering(entry: Sequence[str]) -> str:
    return _postgres_function("enter_attempt", _entering(entry))


def _postgres() -> list[str]:
    function = _postgres_function

    def trigger(name: str, event: str, calls: str, *, when: str = "") -> str:
        condition = when and f"WHEN ({when})"
        return f"CREATE TRIGGER {name} AFTER {event} FOR EACH ROW {condition} EXECUTE FUNCTION {calls}()"

    def bulk_trigger(name: str, event: str, calls: str) -> str:
        rows = "REFERENCING NEW TABLE AS added"
        return f"CREATE TRIGGER {name} AFTER {event} {rows} FOR EACH STATEMENT EXECUTE FUNCTION {calls}()"

    def job(row: str, sign: str = "") -> str:
        return _COUNT_JOB.format(row=row, sign=sign, slot="txid_current()")

    def upload(row: str, sign: str = "") -> str:
        day = f"({row}.created_at AT TIME ZONE 'UTC')::date"
        return _COUNT_UPLOAD.format(row=row, sign=sign, slot="txid_current()", day=day)

    def changed(count: str, recount: str) -> str:
        return f"{count} IF TG_OP = 'UPDATE' THEN {recount} END IF;"

    return [
        function("count_new_jobs", _COUNT_NEW_JOBS),
        function("count_job", changed(job("OLD", "-"), job("NEW"))),
        function("count_new_uploads", _COUNT_NEW_UPLOADS),
        function("count_upload", changed(upload("OLD", "-"), upload("NEW"))),
        _postgres_entering(ENTRY_0001),
        bulk_trigger("jobs_counted_in", "INSERT ON jobs", "count_new_jobs"),
        trigger("jobs_counted_on", "UPDATE OF status, job_type ON jobs", "count_job", when=_CHANGES_COUNT),
        trigger("jobs_counted_out", "DELETE ON jobs", "count_job"),
        bulk_trigger("uploads_counted_in", "INSERT ON uploads", "count_new_uploads"),
        trigger("uploads_counted_on", "UPDATE OF bytes, media_ms, created_at ON uploads", "count_upload"),
        trigger("uploads_counted_out", "DELETE ON uploads", "count_upload"),
        trigger("job_history_entered_ended", "INSERT ON job_history", "enter_attempt", when=_BEGINS_ENDED),
        trigger("job_history_entered", "UPDATE OF status ON job_history", "enter_attempt", when=_ENDS),
    ]
