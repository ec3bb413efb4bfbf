"""Mutation testing: small faults are put into the code one by one, and a test has to fail on each."""
