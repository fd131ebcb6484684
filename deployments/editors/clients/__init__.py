"""One file for each client: its settings and its first requests."""
