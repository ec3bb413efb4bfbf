"""The receiver in the documentation takes what we send, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from mediajobs_dagster.system import MediaJobs
from tests.webhooks.conftest import SettingsOf
from tests.webhooks.receiver import OLDER, SECRET

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "webhooks.md"


def test_the_receiver_of_the_documentation_works(settings_of: SettingsOf) -> None:
    """As it stands there."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[-1]
    given = {**os.environ, "MEDIAJOBS_WEBHOOK_SECRET": SECRET, "PORT": "0"}
    with subprocess.Popen([sys.executable, "-c", code], env=given, stdout=subprocess.PIPE, text=True) as receiver:
        try:
            assert receiver.stdout is not None
            url = f"http://127.0.0.1:{int(receiver.stdout.readline())}/hooks"
            with MediaJobs(settings_of()) as media:
                assert media.webhooks.test(url).status == 204
            assert " test {" in receiver.stdout.readline()
            with MediaJobs(settings_of(webhook_secret=OLDER)) as media:
                refused = media.webhooks.test(url)
            assert (refused.arrived, refused.status) == (False, 401)
        finally:
            receiver.kill()
