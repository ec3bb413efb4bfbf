"""The fixtures of all tests; each plugin brings the ones of its own subject."""

import os
import signal

pytest_plugins = ["tests.servers.postgres", "tests.servers.s3", "tests.clips", "tests.speeches", "tests.platform"]

# A shell starts what it puts into the background with SIGINT ignored, and Python leaves it so. The tests of interrupts,
# and the programs they start, need it as it is in the foreground.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Another Dagster's folder, and colours that are asked for whatever the output is, are no concern of the tests.
for name in ("DAGSTER_HOME", "FORCE_COLOR"):
    os.environ.pop(name, None)
