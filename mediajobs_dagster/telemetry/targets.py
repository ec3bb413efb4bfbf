"""Where alerts go: addresses that Apprise understands. They are secrets, so nothing here shows one."""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pydantic import SecretStr
from typing_extensions import override

from mediajobs_dagster.errors import ExtraMissingError, SettingsError
from mediajobs_dagster.printable import in_one_line
from mediajobs_dagster.storage.redaction import redact

if TYPE_CHECKING:
    from mediajobs_dagster.telemetry.messages import Message

_PART = re.compile(r"[:/@?&=#,;\s]+")
_LONGEST_REASON = 200
_REFUSED = "it gave no reason"


@dataclass(frozen=True)
class Target:
    """One address, and the service behind it."""

    name: str
    """For people: its number among the addresses, and the kind of service, such as `1 (slack)`."""
    mark: str
    """Tells it from other targets, without telling what it is."""
    _service: Any = field(repr=False)
    _secrets: frozenset[str] = field(repr=False)
    """The parts of all addresses: what one service says may be heard while another is spoken to."""

    def send(self, message: Message) -> str | None:
        """Send a message; None if the service took it, else why not. Raises nothing."""
        with _Heard() as heard:
            try:
                is_taken = self._service.notify(
                    title=message.title, body=message.body, notify_type=message.level, body_format="text"
                )
            except Exception as error:  # noqa: BLE001  # the edge: foreign code for a hundred services
                return self._shown(f"{type(error).__name__}: {error}")
        return None if is_taken else self._shown(" ".join(heard.said)) or _REFUSED

    def _shown(self, text: str) -> str:
        """`text` without any part of an address."""
        return in_one_line(redact(text, self._secrets))[:_LONGEST_REASON]


def targets_of(addresses: Sequence[SecretStr]) -> tuple[Target, ...]:
    """The targets at these addresses. Raises ExtraMissingError, and SettingsError for what is no address."""
    if not addresses:
        return ()
    try:
        import apprise
    except ModuleNotFoundError:
        raise ExtraMissingError.of("MEDIAJOBS_ALERT_URLS needs", "alerts") from None
    # Its messages quote addresses. Nobody but `_Heard` gets them.
    apprise.logger.propagate = False
    apprise.logger.setLevel(logging.WARNING)
    plain = [address.get_secret_value() for address in addresses]
    secrets = frozenset(part for address in plain for part in _parts_of(address))
    return tuple(_target(number, address, secrets, apprise) for number, address in enumerate(plain, start=1))


def _parts_of(address: str) -> Iterator[str]:
    for part in _PART.split(address.partition("://")[2]):
        yield part
        yield unquote(part)


def _target(number: int, address: str, secrets: frozenset[str], apprise: Any) -> Target:
    service = apprise.Apprise(asset=apprise.AppriseAsset(app_id="mediajobs", app_desc="", async_mode=False))
    if not service.add(address):
        raise SettingsError(
            f"Address {number} of MEDIAJOBS_ALERT_URLS is none that Apprise understands. Write it as "
            "https://appriseit.com/services/ says."
        )
    mark = hashlib.blake2s(address.encode(), digest_size=4).hexdigest()
    return Target(f"{number} ({address.partition('://')[0].lower()})", mark, service, secrets)


class _Heard(logging.Handler):
    """Collects what Apprise logs within a `with` block. It sends from threads of its own, so one block at a time."""

    _turn = threading.Lock()

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def __enter__(self) -> _Heard:
        self._turn.acquire()
        logging.getLogger("apprise").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("apprise").removeHandler(self)
        self._turn.release()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
