"""Why jobs wait, and why they ended."""
