"""What people and their programs are told while nobody watches: log lines and alerts."""
