"""The triggers that count what happens to jobs, for the metrics: created, each change of status, and each end.

Triggers for the same reasons as in `counting.py`: whichever statement changes a job, it is counted, once.
"""

from __future__ import annotations

BOUNDS_0006 = (
    *(5, 10, 25, 50, 100, 250, 500),
    *(1_000, 2_500, 5_000, 10_000, 30_000, 60_000),
    *(120_000, 300_000, 600_000, 1_800_000, 3_600_000, 14_400_000, 86_400_000),
)
"""The upper bounds of the classes of duration of schema 0006, milliseconds."""

FUNCTIONS = ("measure_new_jobs", "measure_job", "measure_end")
"""What the triggers call on PostgreSQL."""
TRIGGERS = ("jobs_measured_in", "jobs_measured_on", "jobs_measured_at_end")

IS_OVER = "status IN ('completed', 'dead', 'skipped', 'cancelled')"

_INTO = "INSERT INTO metric_series (name, labels, duration_class, slot, count, sum_ms)"
_ADDING = """ON CONFLICT (name, labels, duration_class, slot) DO UPDATE SET
    count = metric_series.count + excluded.count, sum_ms = metric_series.sum_ms + excluded.sum_ms;"""
_CHANGES = "OLD.status <> NEW.status"
_ENDS = f"{_CHANGES} AND NEW.{IS_OVER}"

LATENCY_MS = {
    "sqlite": "CAST(max(0, round((julianday({row}.updated_at) - julianday({row}.created_at)) * 86400000)) AS INTEGER)",
    "postgresql": "CAST(greatest(0, round(extract(epoch FROM {row}.updated_at - {row}.created_at) * 1000)) AS bigint)",
}
"""How long a job took from its creation to its end, milliseconds; 0 where two clocks disagree."""
ENDED = "'job_type=' || {row}.job_type || ',status=' || {row}.status || ',code=' || coalesce({row}.error_code, 'none')"
"""The labels of an end."""


def class_of(duration: str) -> str:
    """The class of a duration, as an expression."""
    cases = " ".join(f"WHEN {duration} <= {bound} THEN {index}" for index, bound in enumerate(BOUNDS_0006))
    return f"CASE {cases} ELSE {len(BOUNDS_0006)} END"


def measuring_triggers(dialect: str) -> list[str]:
    """The statements that create the triggers, and on PostgreSQL the functions that they call."""
    return _postgres() if dialect == "postgresql" else _sqlite()


def _changed(slot: str) -> str:
    labels = "'from=' || OLD.status || ',to=' || NEW.status"
    return f"{_INTO} VALUES ('jobs.status_transition_total', {labels}, -1, {slot}, 1, 0) {_ADDING}"


def _ended(slot: str, dialect: str) -> str:
    took = LATENCY_MS[dialect].format(row="NEW")
    return (
        f"{_INTO} SELECT 'jobs.total_latency_ms', '', {class_of('took.ms')}, {slot}, 1, took.ms "
        f"FROM (SELECT {took} AS ms) AS took WHERE true {_ADDING} "
        f"{_INTO} VALUES ('jobs.ended_total', {ENDED.format(row='NEW')}, -1, {slot}, 1, 0) {_ADDING}"
    )


def _sqlite() -> list[str]:
    created = f"{_INTO} VALUES ('jobs.created_total', '', -1, 0, 1, 0) {_ADDING}"
    changed = "UPDATE OF status ON jobs WHEN"
    return [
        f"CREATE TRIGGER jobs_measured_in AFTER INSERT ON jobs BEGIN {created} END",
        f"CREATE TRIGGER jobs_measured_on AFTER {changed} {_CHANGES} BEGIN {_changed('0')} END",
        f"CREATE TRIGGER jobs_measured_at_end AFTER {changed} {_ENDS} BEGIN {_ended('0', 'sqlite')} END",
    ]


def _postgres() -> list[str]:
    def function(name: str, actions: str) -> str:
        body = f"BEGIN {actions} RETURN NULL; END"
        return f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"

    def trigger(name: str, when: str, calls: str) -> str:
        each = "FOR EACH ROW"
        return f"CREATE TRIGGER {name} AFTER UPDATE OF status ON jobs {each} WHEN ({when}) EXECUTE FUNCTION {calls}()"

    slot = "txid_current()"
    # Many jobs come in one statement, and are counted in one, as in `counting.py`.
    created = (
        f"{_INTO} SELECT 'jobs.created_total', '', -1, {slot}, count(*), 0 FROM added HAVING count(*) > 0 {_ADDING}"
    )
    return [
        function("measure_new_jobs", created),
        function("measure_job", _changed(slot)),
        function("measure_end", _ended(slot, "postgresql")),
        "CREATE TRIGGER jobs_measured_in AFTER INSERT ON jobs REFERENCING NEW TABLE AS added "
        "FOR EACH STATEMENT EXECUTE FUNCTION measure_new_jobs()",
        trigger("jobs_measured_on", _CHANGES, "measure_job"),
        trigger("jobs_measured_at_end", _ENDS, "measure_end"),
    ]
