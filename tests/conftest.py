"""The fixtures of all tests; each plugin brings the ones of its own subject."""

pytest_plugins = ["tests.servers.postgres", "tests.servers.s3", "tests.clips", "tests.platform"]
