"""`mediajobs code-server`: what is wrong with its address is said before it serves."""

from __future__ import annotations

import os
import socket

import pytest

from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.orchestration.serving.address import Address
from tests.cli.conftest import Call


def test_a_taken_port_is_refused_with_its_holder(mediajobs: Call) -> None:
    """As `mediajobs up` does; no traceback of the server's."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = mediajobs("code-server", "--listen", f"127.0.0.1:{port}")
    assert answer.code != 0
    assert answer.err.startswith(f"PORT_TAKEN: Port {port} is taken by process {os.getpid()}")
    assert answer.err.endswith("choose another port with --listen.\n")


@pytest.mark.parametrize("text", ["127.0.0.1:99999", "127.0.0.1:0", "127.0.0.1:²", "127.0.0.1", ":80", "host:"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """Before anything tries to listen there."""
    with pytest.raises(SettingsError, match="is not an address"):
        Address.parse(text)


def test_addresses_are_read() -> None:
    """A host with a port, or a socket."""
    assert str(Address.parse("code-server:4000")) == "code-server:4000"
    assert str(Address.parse("/run/code.sock")) == "/run/code.sock"


@pytest.mark.parametrize("command", ["up", "web"])
def test_a_listed_name_that_is_none_is_refused(mediajobs: Call, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Before anything starts: a web server that finds it out would be started again and again."""
    monkeypatch.setenv("MEDIAJOBS_WEB_NAMES", "media.example.com,https://media.example.com")
    answer = mediajobs(command)
    assert answer.code == 2
    assert answer.err.startswith("SETTINGS_INVALID: MEDIAJOBS_WEB_NAMES: 'https://media.example.com' is not a name.")
