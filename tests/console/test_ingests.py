"""Videos are asked for by HTTP."""

from __future__ import annotations

from tests.console.client import Client

FILE = "https://media.example.com/talks/paths.mp4"


def test_addresses_are_asked_for(client: Client) -> None:
    """Once; with the same key the answer is the same."""
    planned = client.post("/api/ingests", {"addresses": [FILE], "dryRun": True})
    assert (planned.status, planned.json["created"], planned.json["videos"][0]["job"]) == (202, 1, None)
    asked = client.post("/api/ingests", {"addresses": [FILE]}, headers=[("Idempotency-Key", "one")])
    assert (asked.status, asked.json["created"]) == (202, 1)
    again = client.post("/api/ingests", {"addresses": [FILE]}, headers=[("Idempotency-Key", "one")])
    assert again.json == asked.json
    assert client.post("/api/ingests", {"addresses": [FILE]}).json["created"] == 0


def test_what_cannot_be_asked_for(client: Client) -> None:
    """Each with its code."""
    for body, code in (
        ({"addresses": []}, "REQUEST_INVALID"),
        ({"addresses": ["file:///etc/passwd"]}, "REQUEST_INVALID"),
        ({"addresses": ["s3://other/secret.mp4"]}, "REQUEST_INVALID"),
        ({"addresses": ["http://10.0.0.1/a.mp4"]}, "ADDRESS_REFUSED"),
        ({"addresses": [FILE], "limit": 0}, "REQUEST_INVALID"),
        ({"addresses": [FILE], "other": 1}, "REQUEST_INVALID"),
    ):
        answer = client.post("/api/ingests", body)
        assert (answer.status, answer.json["code"]) == (422, code), body
