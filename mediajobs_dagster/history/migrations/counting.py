"""The triggers of schema 0001: they count jobs, uploads and ended attempts in the transaction that changes them.

Triggers, because a count has to stay right whichever statement changes a row, and because they cost no round trip.
A migration that has SQLite copy a table (`batch_alter_table`) loses its triggers, and has to create them again.
"""

from __future__ import annotations

_COUNT_JOB = """
INSERT INTO job_counts (job_type, status, slot, jobs) VALUES ({row}.job_type, {row}.status, {slot}, {sign}1)
ON CONFLICT (job_type, status, slot) DO UPDATE SET jobs = job_counts.jobs + excluded.jobs;"""

_COUNT_UPLOAD = """
INSERT INTO upload_days (day, slot, uploads, bytes, media_ms)
VALUES ({day}, {slot}, {sign}1, {sign}{row}.bytes, {sign}coalesce({row}.media_ms, 0))
ON CONFLICT (day, slot) DO UPDATE SET uploads = upload_days.uploads + excluded.uploads,
    bytes = upload_days.bytes + excluded.bytes, media_ms = upload_days.media_ms + excluded.media_ms;"""

_ENTRY = "created_at, job_name, status, error_code, host, duration_ms, output_files, output_bytes"
_ENTER_ATTEMPT = f"""
INSERT INTO metric_entries ({_ENTRY}) VALUES (NEW.{_ENTRY.replace(", ", ", NEW.")});"""

_ENDS = "OLD.status = 'running' AND NEW.status <> 'running'"
_BEGINS_ENDED = "NEW.status <> 'running'"
_CHANGES_COUNT = "OLD.status <> NEW.status OR OLD.job_type <> NEW.job_type"

FUNCTIONS = ("count_new_jobs", "count_job", "count_new_uploads", "count_upload", "enter_attempt")
"""What the triggers call on PostgreSQL."""


def triggers(dialect: str) -> list[str]:
    """The statements that create the triggers, and on PostgreSQL the functions that they call."""
    return _postgres() if dialect == "postgresql" else _sqlite()


def _sqlite() -> list[str]:
    def trigger(name: str, event: str, actions: str, *, when: str = "") -> str:
        return f"CREATE TRIGGER {name} AFTER {event} {when and f'WHEN {when}'} BEGIN {actions} END"

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
        trigger("job_history_entered_ended", "INSERT ON job_history", _ENTER_ATTEMPT, when=_BEGINS_ENDED),
        trigger("job_history_entered", "UPDATE OF status ON job_history", _ENTER_ATTEMPT, when=_ENDS),
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


def _postgres() -> list[str]:
    def function(name: str, actions: str) -> str:
        return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {actions} RETURN NULL; END $$"

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
        function("enter_attempt", _ENTER_ATTEMPT),
        bulk_trigger("jobs_counted_in", "INSERT ON jobs", "count_new_jobs"),
        trigger("jobs_counted_on", "UPDATE OF status, job_type ON jobs", "count_job", when=_CHANGES_COUNT),
        trigger("jobs_counted_out", "DELETE ON jobs", "count_job"),
        bulk_trigger("uploads_counted_in", "INSERT ON uploads", "count_new_uploads"),
        trigger("uploads_counted_on", "UPDATE OF bytes, media_ms, created_at ON uploads", "count_upload"),
        trigger("uploads_counted_out", "DELETE ON uploads", "count_upload"),
        trigger("job_history_entered_ended", "INSERT ON job_history", "enter_attempt", when=_BEGINS_ENDED),
        trigger("job_history_entered", "UPDATE OF status ON job_history", "enter_attempt", when=_ENDS),
    ]
