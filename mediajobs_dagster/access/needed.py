"""Whether the console asks for a login, and whether anybody could log in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mediajobs_dagster.access.proxies import Proxies
from mediajobs_dagster.errors import SettingsError
from mediajobs_dagster.settings import Settings

if TYPE_CHECKING:  # what hashes passwords is not loaded for commands that ask for none
    from mediajobs_dagster.access.users import Users


def needs_login(settings: Settings, *, loopback: bool, unprotected: bool = False) -> bool:
    """Whether a console on such an address asks who comes.

    As MEDIAJOBS_LOGIN says; if it says nothing, everywhere but on loopback, and there too if a proxy says who comes.
    """
    if unprotected:
        return False
    if settings.login is not None:
        return settings.login
    return not loopback or bool(settings.user_header)


def check_access(settings: Settings, users: Callable[[], Users], *, loopback: bool, unprotected: bool = False) -> bool:
    """Whether a console on such an address asks for a login.

    Raises NoUsersError if it does and nobody could log in, and SettingsError when a proxy is not set up right.
    """
    proxies = Proxies.of(settings)
    if proxies.user_header and (unprotected or settings.login is False):
        raise SettingsError(
            "MEDIAJOBS_USER_HEADER has a proxy say who comes, but MEDIAJOBS_LOGIN=false, or --unprotected, lets "
            "everybody do everything. Leave one of them out."
        )
    is_needed = needs_login(settings, loopback=loopback, unprotected=unprotected)
    if is_needed and not proxies.user_header:
        users().check_somebody()
    return is_needed
