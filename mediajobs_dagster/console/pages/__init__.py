"""The console's pages, rendered on the server. Each works without scripts; small modules add keys and live rows."""
