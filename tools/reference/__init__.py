"""Writes the reference, the pages in docs/reference, from the code. A test fails when a page says something else."""
