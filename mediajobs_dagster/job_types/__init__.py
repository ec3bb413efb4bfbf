"""The job types: parameters and pure planners, one file or folder each, and their registry."""
