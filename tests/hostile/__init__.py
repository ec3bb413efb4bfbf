"""Hostile files: made to mislead whoever reads them. None of them may be blamed on the system.

`made.py` writes some by hand, `fuzzed.py` changes real clips by chance, and `trial.py` puts them through everything
that reads media. A sample runs with the tests; `python -m tests.hostile` (`make test-hostile`) runs the whole set.
"""
