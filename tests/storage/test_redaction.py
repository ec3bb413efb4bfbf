"""What is taken out of text before anybody sees it, and what stays."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable
from urllib.parse import quote

import pytest

from mediajobs_dagster.storage import redact
from mediajobs_dagster.storage.redaction import redact_address
from tests.cpu import cpu_seconds

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKEY"
SIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260101%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20260101T000000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=0123abcd"
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"https://host/bucket/key.mp4?{SIGNED}", "https://host/bucket/key.mp4?<redacted>"),
        (f"GET /bucket/key?{SIGNED} HTTP/1.1", "GET /bucket/key?<redacted> HTTP/1.1"),
        (f"[https @ 0x1] https://host/k?{SIGNED}: 403", "[https @ 0x1] https://host/k?<redacted>: 403"),
        (f'{{"url":"https://host/k?{SIGNED}","n":1}}', '{"url":"https://host/k?<redacted>","n":1}'),
        ("https://h/k?AWSAccessKeyId=x&Expires=1&Signature=y%3D", "https://h/k?<redacted>"),
        ("https://h/k?sv=1&SIG=abc", "https://h/k?<redacted>"),
        ("https://h/k?token=abc#t", "https://h/k?<redacted>"),
        ("https://h/youtube/v3?id=1&key=abc", "https://h/youtube/v3?<redacted>"),
        ("https%3A%2F%2Fh%2Fk%3FX-Amz-Signature%3Dabc", "https%3A%2F%2Fh%2Fk%3FX-Amz-Signature%3D<redacted>"),
        ("…&X-Amz-Signature=abc end", "…&X-Amz-Signature=<redacted> end"),
        ("Authorization: AWS4-HMAC-SHA256 Credential=x, Signature=y\nHost: h", "Authorization: <redacted>\nHost: h"),
        ("{'Authorization': b'AWS4 Signature=y', 'n': 1}", "{'Authorization': b'<redacted>', 'n': 1}"),
        ("proxy-authorization: Basic dTpw", "proxy-authorization: <redacted>"),
        ("sent bearer abc.def-1 twice", "sent bearer <redacted> twice"),
        ("postgresql://user:pass@host:5432/db", "postgresql://<redacted>@host:5432/db"),
        ("redis://:p@ss@host/0", "redis://<redacted>@host/0"),
        ("postgresql://user:p/a?s#s@host/db", "postgresql://<redacted>@host/db"),
        ("a token mjt_X5dU234JNgDCgoxdwdWSTEDTLFN8tOi-62HyPqSYXkw of ours", "a token <redacted> of ours"),
        ("key AKIAIOSFODNN7EXAMPLE or ASIAIOSFODNN7EXAMPLE", "key <redacted> or <redacted>"),
        (f"aws_secret_access_key={SECRET}", "aws_secret_access_key=<redacted>"),
        (f"MEDIAJOBS_S3_SECRET_ACCESS_KEY: '{SECRET}'", "MEDIAJOBS_S3_SECRET_ACCESS_KEY: '<redacted>'"),
        (json.dumps({"secretAccessKey": 'a"b', "n": 1}), '{"secretAccessKey": "<redacted>", "n": 1}'),
    ],
)
def test_secrets_go_and_the_rest_stays(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=10",
        "https://host:9000/bucket/me@example.org",
        "https://host/a/b",
        "SyntaxError: Unexpected token: foo?",
        "Invalid data found when processing input",
        "ffmpeg -ss 0.2 -i in.mp4 -vf scale=640:-2:flags=lanczos out.jpg",
        "uploads/0199/source: design=1, keyint=8, what? why=2",
        "",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact(text) == text


def test_secrets_handed_in_go_as_they_are_and_percent_encoded() -> None:
    text = f"a {SECRET} b {quote(SECRET, safe='')} c"
    assert redact(text, [SECRET, SECRET[:10], "a", ""]) == "a <redacted> b <redacted> c"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://host:8443/v3/videos?id=1&key=abc&flag=#t", "https://host:8443/v3/videos?id&key&flag"),
        ("https://user:p@ss@host/a", "https://<redacted>@host/a"),
        ("https://host/a?bare-secret", "https://host/a?<redacted>"),
        ("https://host/AKIAIOSFODNN7EXAMPLE/b", "https://host/<redacted>/b"),
        ("http://[::1]/a?b=c", "http://[::1]/a?b"),
        ("http://[::1", "<redacted>"),
        ("https://host", "https://host"),
    ],
)
def test_of_an_address_the_values_of_its_query_go(address: str, shown: str) -> None:
    """Any of them may be a secret; their names tell what was asked. A second look changes nothing."""
    assert redact_address(address) == shown
    assert redact(shown) == shown


WRAPPINGS: list[Callable[[str], str]] = [
    lambda secret: f"https://host/path/x.mp4?a=1&X-Amz-Signature={quote(secret, safe='')}&b=2",
    lambda secret: f"https://host/path/x.mp4?Policy=p&Signature={quote(secret, safe='')}",
    lambda secret: f"https://user:{quote(secret, safe='')}@host/path",
    lambda secret: f"Authorization: Bearer {secret}",
    lambda secret: f"-H 'authorization: {secret}'",
    lambda secret: f"aws_secret_access_key = {secret}",
    lambda secret: json.dumps({"aws_session_token": secret}),
    lambda secret: repr({"password": secret}),
    lambda secret: f"PGPASSWORD={secret}",
    lambda secret: f"x-amz-security-token: {secret}",
]


@pytest.mark.parametrize("seed", range(200))
def test_no_secret_survives_any_setting(seed: int) -> None:
    """Random secrets, in random order and company: none is left, the text around is, and a second pass adds nothing."""
    dice = random.Random(seed)
    alphabet = string.ascii_letters + string.digits + "/+=._~-"
    secrets = ["".join(dice.choices(alphabet, k=dice.randint(16, 64))) for _ in range(3)]
    lines = [f"before {dice.choice(WRAPPINGS)(secret)}" for secret in secrets]
    text = "\n".join(["frame= 10 fps=2", *lines, "after https://host/kept"])
    shown = redact(text)
    for secret in secrets:
        assert secret not in shown
        assert quote(secret, safe="") not in shown
    assert shown.count("before ") == 3
    assert shown.startswith("frame= 10 fps=2\n")
    assert shown.endswith("\nafter https://host/kept")
    assert redact(shown) == shown


@pytest.mark.parametrize("unit", ["a", "?", "://", "secret", "token", "x-amz-", "'", '"', "\\", "AKIA", "?a=", ":/@"])
def test_hostile_text_takes_no_more_than_linear_time(unit: str) -> None:
    """A hundred thousand characters of what a pattern might choke on."""
    text = unit * (100_000 // len(unit))
    assert cpu_seconds(lambda: redact(text)) < 2
