"""mediajobs runs a video product's media jobs on Dagster and explains every one of them."""

__version__ = "0.2.0"
