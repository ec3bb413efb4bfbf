"""What each job makes: parameters and pure planners, one file a job type, one registry."""
