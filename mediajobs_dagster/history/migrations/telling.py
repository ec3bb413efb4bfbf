"""The triggers that write what webhooks tell of jobs into the outbox, in the transaction that changes the job.

Triggers for the same reasons as in `counting.py`: whichever statement changes a job, its change is told, once. Where
nobody asked to be told, one look into an index finds that out.
"""

from __future__ import annotations

FUNCTIONS = ("tell_new_jobs", "tell_job")
"""What the triggers call on PostgreSQL."""
TRIGGERS = ("jobs_told_in", "jobs_told_on")

_EVENT = """CASE {row}.status WHEN 'queued' THEN 'job.queued' WHEN 'processing' THEN 'job.started'
    WHEN 'completed' THEN 'job.completed' WHEN 'skipped' THEN 'job.completed' WHEN 'failed' THEN 'job.failed'
    ELSE 'job.dead' END"""
_DATA = """{object}('jobId', {row}.id, 'jobType', {row}.job_type, 'subjectId', {row}.subject_id,
    'traceId', {row}.trace_id, 'parentJobId', {row}.parent_job_id, 'status', {row}.status,
    'attempts', {row}.attempts, 'maxAttempts', {row}.max_attempts, 'errorCode', {row}.error_code)"""
_INTO = """INSERT INTO webhook_deliveries
    (id, subscription_id, event, trace_id, job_id, url, origin, data, created_at, due_at, status, tries)"""
_WANTS = "s.ended_at IS NULL AND (s.events = '*' OR s.events LIKE '%,' || {event} || ',%')"
_OF_JOB = "s.trace_id = {row}.trace_id AND s.job_id IN ('', {row}.id)"

_ID = {"sqlite": "lower(hex(randomblob(16)))", "postgresql": "replace(gen_random_uuid()::text, '-', '')"}
_NOW = {"sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now')", "postgresql": "clock_timestamp()"}
_OBJECT = {"sqlite": "json_object", "postgresql": "json_build_object"}
_ANYBODY = "SELECT 1 FROM webhook_subscriptions AS s WHERE s.trace_id = NEW.trace_id AND s.ended_at IS NULL"
_CHECK = f"""INSERT INTO webhook_checks (trace_id) SELECT NEW.trace_id
    WHERE NEW.status IN ('completed', 'dead', 'skipped', 'cancelled') AND EXISTS ({_ANYBODY});"""


def telling_triggers(dialect: str) -> list[str]:
    """The statements that create the triggers, and on PostgreSQL the functions that they call."""
    return _postgres() if dialect == "postgresql" else _sqlite()


def _told(dialect: str, row: str, tables: str) -> str:
    event, now = _EVENT.format(row=row), _NOW[dialect]
    data = _DATA.format(object=_OBJECT[dialect], row=row)
    return (
        f"{_INTO} SELECT {_ID[dialect]}, s.id, {event}, {row}.trace_id, {row}.id, s.url, s.origin, {data}, {now}, "
        f"{now}, 'pending', 0 FROM {tables} {_OF_JOB.format(row=row)} AND {_WANTS.format(event=f'({event})')};"
    )


def _sqlite() -> list[str]:
    told = _told("sqlite", "NEW", "webhook_subscriptions AS s WHERE")
    return [
        f"CREATE TRIGGER jobs_told_in AFTER INSERT ON jobs BEGIN {told} END",
        "CREATE TRIGGER jobs_told_on AFTER UPDATE OF status ON jobs WHEN OLD.status <> NEW.status "
        f"BEGIN {told} {_CHECK} END",
    ]


def _postgres() -> list[str]:
    def function(name: str, actions: str) -> str:
        body = f"BEGIN {actions} RETURN NULL; END"
        return f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"

    # Many jobs come in one statement, and are told in one, as in `counting.py`.
    created = _told("postgresql", "added", "added JOIN webhook_subscriptions AS s ON")
    changed = _told("postgresql", "NEW", "webhook_subscriptions AS s WHERE")
    return [
        function("tell_new_jobs", created),
        function("tell_job", f"IF EXISTS ({_ANYBODY}) THEN {changed} {_CHECK} END IF;"),
        "CREATE TRIGGER jobs_told_in AFTER INSERT ON jobs REFERENCING NEW TABLE AS added "
        "FOR EACH STATEMENT EXECUTE FUNCTION tell_new_jobs()",
        "CREATE TRIGGER jobs_told_on AFTER UPDATE OF status ON jobs FOR EACH ROW "
        "WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION tell_job()",
    ]
