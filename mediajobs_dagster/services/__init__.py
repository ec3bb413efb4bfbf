"""Outside services: the only folder that speaks to the outside world. A step of a job asks its bench for a client."""
