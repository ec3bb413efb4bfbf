"""Every private name of Dagster that we use, each with its use; no other module imports one.

What is private may change with any release. `tests/test_dagster_internals.py` holds each name to what we need of it,
so a new release is judged by running one file. A module for each group that is loaded together: importing the daemon,
the web server or dagster-celery takes seconds, and only the processes that need them should.
"""
