"""When jobs are started, and what happens after a failure: dispatch, breaker and retry policy."""
