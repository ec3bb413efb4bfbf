"""Every private name of Dagster that we use, and what for; no other module imports one.

Private names may change with any release. `tests/test_dagster_internals.py` checks what we need of each, so running
that file judges a new release. There is one module for each group of names that is loaded together: importing the
daemon, the web server or dagster-celery takes seconds, and only the processes that need them should import them.
"""
