"""What happens after a failure: retry policy, breaker, dispatch and lease recovery."""
