"""Outside services, and the only folder that calls them. A step of a job gets a client from its bench."""
