"""Tools of those who work on mediajobs. None of them is part of what is installed."""
