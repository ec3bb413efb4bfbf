"""What things cost, measured side by side: each module is a script, run as `python -m benchmarks.NAME [--quick]`."""
