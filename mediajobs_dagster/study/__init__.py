"""Study guides: what is worth keeping of a talk, and questions about it."""
