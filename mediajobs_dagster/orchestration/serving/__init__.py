"""The long-lived processes: the code server and its run processes, the daemon, and the web server."""
