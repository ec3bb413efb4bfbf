"""Sources of scheduled events: calendars, APIs, and those of other packages."""
