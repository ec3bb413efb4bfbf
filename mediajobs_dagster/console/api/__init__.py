"""The HTTP API: a router for each noun. Each route calls one use case of `MediaJobs` and answers with its JSON form."""
