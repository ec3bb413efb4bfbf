"""Who may use the console: users and their passwords, sessions, tokens, and proxies that say who comes."""
