"""Benchmarks: each module is a script, run as `python -m benchmarks.NAME [--quick]`; alternatives run side by side."""
