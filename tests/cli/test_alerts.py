"""`mediajobs alerts`: what is listed, what is sent, and that no address is shown."""

from __future__ import annotations

from datetime import timedelta

from mediajobs_dagster.models import AlertKind, utc_now
from tests.cli.conftest import Call
from tests.platform import Platform
from tests.servers.alert_target import AlertTarget
from tests.servers.mediajobs_up import free_port

DETAILS = {"jobId": "job-1", "traceId": "trace-1", "errorCode": "STALLED"}


def add(platform: Platform) -> None:
    """Two of the same, a minute ago."""
    for _ in range(2):
        platform.history.alerts.add(
            *(AlertKind.JOB_DEAD, "cause", "upload_thumb_v1 is dead: STALLED", "It stalled.", DETAILS),
            now=utc_now() - timedelta(minutes=1),
        )


def test_alerts_are_listed(mediajobs: Call, platform: Platform) -> None:
    """For people in a table, or whole; for programs all fields; without an address it says so."""
    assert mediajobs("alerts", "list").out == "There is no alert.\n"
    add(platform)
    shown = mediajobs("alerts", "list").out
    assert "upload_thumb_v1 is dead: STALLED" in shown
    assert "no: no address is set" in shown
    whole = mediajobs("alerts", "list", "--verbose", "--kind", "job_dead").out
    assert "mediajobs: upload_thumb_v1 is dead: STALLED (2 times)" in whole
    assert "Trace: trace-1" in whole
    (alert,) = mediajobs("alerts", "list", "--json").json
    assert (alert["kind"], alert["count"], alert["details"], alert["sentAt"]) == ("job_dead", 2, DETAILS, None)
    assert mediajobs("alerts", "list", "--kind", "quota_low", "--json").json == []


def test_what_waits_is_sent(mediajobs: Call, platform: Platform) -> None:
    """Exit code 1 while a target is down; it is listed with the reason."""
    add(platform)
    port = free_port()
    address = f"json://bob:hunter2@127.0.0.1:{port}/hook"
    refused = mediajobs("alerts", "send", alert_urls=address)
    assert (refused.code, refused.out) == (1, "0 alerts sent. 1 message will be tried again.\n")
    assert "not yet: target 1 (json): " in mediajobs("alerts", "list", alert_urls=address).out
    assert mediajobs("alerts", "send", "--json", alert_urls=address).json == {"sent": 0, "failed": 0}  # not due yet


def test_a_test_tells_which_target_it_reached(mediajobs: Call) -> None:
    """By number and kind of service, without the address; exit code 1 if one did not take it."""
    with AlertTarget.serving() as target:
        good = mediajobs("alerts", "test", "--json", alert_urls=target.address)
        both = mediajobs("alerts", "test", alert_urls=f"{target.address} json://127.0.0.1:{free_port()}/hook")
    assert (good.code, good.json) == (0, {"targets": [{"target": "1 (json)", "arrived": True, "reason": None}]})
    assert both.code == 1
    assert "1 (json)  ok" in both.out
    assert "2 (json)  failed" in both.out
    assert target.titles == ["mediajobs: test of the alerts"] * 2
    for answer in (good, both):
        assert not any(secret in answer.out + answer.err for secret in ("hunter", "127.0.0.1"))


def test_doctor_checks_the_addresses(mediajobs: Call, platform: Platform) -> None:
    """How many and of which kind; what cannot be used is a finding that does not show it."""

    def finding(addresses: str) -> dict[str, object]:
        found = mediajobs("doctor", "--json", alert_urls=addresses)
        assert "hunter" not in found.out + found.err
        return next(each for each in found.json if each["check"] == "alerts")

    assert finding("json://hunter2.example/x nonsense://hunter3")["fine"] is False
    assert finding("json://hunter2.example/x")["detail"] == "they go to 1 (json)"


def test_what_is_no_address_is_refused_without_showing_it(mediajobs: Call) -> None:
    """Nor is one that is missing taken for success."""
    bad = mediajobs("alerts", "test", "--json", alert_urls="nonsense://hunter2")
    assert (bad.code, bad.json["error"]["code"]) == (2, "SETTINGS_INVALID")
    assert "hunter" not in bad.out + bad.err
    assert mediajobs("alerts", "test").code == 2
