"""`python -m mediajobs_dagster` is the `mediajobs` command."""

from mediajobs_dagster.cli.main import main

main()
