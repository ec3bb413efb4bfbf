"""The gate: it stands in front of every page that browsers reach, and refuses what pages of other sites ask for."""
