"""`MediaJobs` and the HTTP API offer the same operations: a table both ways."""

from __future__ import annotations

import inspect

import pytest

from mediajobs_dagster.access.logins import Logins
from mediajobs_dagster.access.tokens import Tokens
from mediajobs_dagster.access.users import Users
from mediajobs_dagster.inventory.inventory import Inventory
from mediajobs_dagster.system import MediaJobs
from mediajobs_dagster.telemetry.alerting import Alerting
from mediajobs_dagster.use_cases.breakers import Breakers
from mediajobs_dagster.use_cases.bulk import Bulk
from mediajobs_dagster.use_cases.events import Events
from mediajobs_dagster.use_cases.quotas import Quotas
from mediajobs_dagster.use_cases.studies import Studies
from mediajobs_dagster.use_cases.videos import Videos
from mediajobs_dagster.use_cases.webhooks import Webhooks
from tests.console.client import Client

PARTS = {
    "bulk": Bulk,
    "breakers": Breakers,
    "quota": Quotas,
    "videos": Videos,
    "events": Events,
    "inventory": Inventory,
    "alerts": Alerting,
    "users": Users,
    "tokens": Tokens,
    "logins": Logins,
    "webhooks": Webhooks,
    "studies": Studies,
}
"""The properties of MediaJobs that hold use cases."""

BY_HTTP: dict[str, str] = {
    "add": "POST /api/uploads",
    "add_received": "POST /api/uploads",
    "add_stored": "POST /api/uploads",
    "ingest": "POST /api/ingests",
    "studies.ask": "POST /api/studies",
    "studies.guides": "GET /api/studies/{reference}",
    "uploads": "GET /api/uploads",
    "upload": "GET /api/uploads/{reference}",
    "delete_upload": "DELETE /api/uploads/{reference}",
    "submit": "POST /api/jobs",
    "jobs": "GET /api/jobs",
    "job": "GET /api/jobs/{reference}",
    "why": "GET /api/jobs/{reference}/why",
    "retry": "POST /api/jobs/{reference}/retry",
    "cancel": "POST /api/jobs/{reference}/cancel",
    "bulk.retry": "POST /api/jobs/retry",
    "bulk.cancel": "POST /api/jobs/cancel",
    "job_statuses": "GET /api/jobs/status",
    "job_history": "GET /api/jobs/history/{name}",
    "trace": "GET /api/traces/{reference}",
    "trace_tree": "GET /api/traces/{reference}",
    "attempts": "GET /api/attempts",
    "attempt": "GET /api/attempts/{reference}",
    "envelope": "GET /api/attempts/{reference}/envelope",
    "throughput": "GET /api/throughput",
    "search": "GET /api/search",
    "prepare_export": "POST /api/exports",
    "plan_export": "POST /api/exports",
    "export": "POST /api/exports",
    "statistics": "GET /api/statistics",
    "capacity": "GET /api/capacity",
    "overview": "GET /api/overview",
    "held": "GET /api/overview",
    "breakers.quarantines": "GET /api/overview",
    "doctor": "POST /api/doctor",
    "check": "GET /readyz",
    "breakers.all": "GET /api/breakers",
    "breakers.open": "POST /api/breakers/{name}/open",
    "breakers.close": "POST /api/breakers/{name}/close",
    "quota.standings": "GET /api/quota",
    "videos.list": "GET /api/videos",
    "videos.show": "GET /api/videos/{reference}",
    "videos.candidates": "GET /api/scheduled-events/{reference}/videos",
    "videos.link": "POST /api/videos/{reference}/link",
    "videos.unlink": "POST /api/videos/{reference}/unlink",
    "events.list": "GET /api/scheduled-events",
    "events.show": "GET /api/scheduled-events/{reference}",
    "inventory.latest": "GET /api/storage/report",
    "inventory.take": "POST /api/schedules/{name}/run",
    "inventory.collect": "POST /api/storage/gc",
    "inventory.restore": "POST /api/storage/restore/{removal}",
    "alerts.list": "GET /api/alerts",
    "webhooks.deliveries": "GET /api/webhooks/deliveries",
    "webhooks.get": "GET /api/webhooks/deliveries/{reference}",
    "webhooks.send_again": "POST /api/webhooks/deliveries/{reference}/send",
    "place_of": "GET /api/uploads/{reference}/content",
}
"""What each use case is by HTTP."""

ONLY_IN_PYTHON: dict[str, str] = {
    "open": "makes the object",
    "close": "ends the object",
    "listen": "takes a function",
    "worker": "makes attempts, in this process",
    "retention": "is what the job history_cleanup does",
    "sweep_storage": "is what the daemon does all the time",
    "inspect": "looks at files of this machine",
    "studies.plan": "looks at files of this machine",
    "write_otio": "writes a file on this machine",
    "names_of": "is part of each answer",
    "named": "is part of each answer",
    "held_by_needs": "is asked by those who start runs",
    "export_history": "writes to an open file; by HTTP attempts are read page by page",
    "export_history_parquet": "writes to an open file",
    "export_job_log": "writes to an open file",
    "job_log_fault": "is told when the work begins",
    "job_log_entries": "is the job log, a file for scripts; by HTTP attempts are read page by page",
    "attempt_frame": "is for notebooks",
    "job_frame": "is for notebooks",
    "stage_frame": "is for notebooks",
    "breakers.quarantine_of": "is asked by workers",
    "breakers.passed_over": "is asked by schedules",
    "breakers.tell_changes": "is asked by those who dispatch",
    "quota.shortage": "is asked by those who dispatch",
    "quota.held": "is part of the overview",
    "quota.turn_away": "is asked by those who dispatch",
    "alerts.alert": "is for other parts of mediajobs",
    "alerts.check": "is part of the doctor",
    "alerts.deliver": "is what the daemon does all the time",
    "users.add": "is for who may log in to the machine: by HTTP, one token that leaks would become many users",
    "users.list": "is on the page /access",
    "users.get": "is on the page /access",
    "users.set_role": "is for who may log in to the machine",
    "users.set_password": "is for who may log in to the machine; the page /access changes one's own",
    "users.disable": "is for who may log in to the machine",
    "users.enable": "is for who may log in to the machine",
    "users.remove": "is for who may log in to the machine",
    "users.check_somebody": "is asked when a console starts",
    "users.check_new": "is asked before a password is",
    "tokens.create": "is on the page /access, for people: a token that leaks must not become two",
    "tokens.list": "is on the page /access",
    "tokens.revoke": "is on the page /access, for people",
    "logins.log_in": "is the page /login; programs come with tokens",
    "logins.log_out": "is on every page",
    "logins.change_password": "is on the page /access",
    "logins.sessions": "is on the page /access",
    "logins.end": "is on the page /access",
    "logins.by_cookie": "is asked at each request",
    "logins.by_token": "is asked at each request",
    "logins.by_proxy": "is asked at each request",
    "alerts.test": "sends a message to all targets",
    "webhooks.check": "is part of each request that has a callback",
    "webhooks.deliver": "is what the daemon does all the time",
    "webhooks.delivering": "is what the daemon does all the time",
    "webhooks.test": "sends a message to any address",
}
"""Use cases that are no part of the HTTP API, and why."""

ONLY_BY_HTTP: dict[str, str] = {
    "GET /healthz": "is about the server",
    "GET /api/events": "MediaJobs.listen has it in Python",
    "GET /api/jobs/{reference}/events": "MediaJobs.listen has it in Python",
    "GET /api/attempts/{reference}/manifest": "is part of MediaJobs.attempt",
    "GET /api/attempts/{reference}/outputs/{number}": "MediaJobs.storage has it in Python",
    "GET /api/schedules": "use_cases.schedules.Schedules needs Dagster's moments",
    "GET /api/storage/map": "Inventory.map is a property",
    "GET /metrics": "MediaJobs.metrics.exposition has it in Python",
    "GET /metrics.json": "MediaJobs.metrics.snapshot has it in Python",
    "GET /api/actions": "History.actions has it in Python",
}
"""What only the HTTP API offers, and why."""


def _is_method(member: object) -> bool:
    return inspect.isfunction(member) or inspect.ismethod(member)


def use_cases() -> set[str]:
    """The public methods of MediaJobs and of its parts."""
    own = {name for name, _ in inspect.getmembers(MediaJobs, _is_method) if not name.startswith("_")}
    parts = {
        f"{part}.{name}"
        for part, kind in PARTS.items()
        for name, _ in inspect.getmembers(kind, _is_method)
        if not name.startswith("_")
    }
    return own | parts


@pytest.fixture
def operations(client: Client) -> set[str]:
    """Every operation of the OpenAPI document."""
    paths = client.get("/openapi.json").json["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def test_every_use_case_is_offered_or_has_a_reason(operations: set[str]) -> None:
    """A new method of MediaJobs needs a route, or a word why it has none."""
    assert use_cases() == {*BY_HTTP, *ONLY_IN_PYTHON}
    assert set(BY_HTTP.values()) <= operations


def test_every_operation_is_a_use_case_or_has_a_reason(operations: set[str]) -> None:
    """A new route needs a use case, or a word why it has none."""
    assert operations == {*BY_HTTP.values(), *ONLY_BY_HTTP}
