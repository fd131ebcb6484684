"""Who goes first: the requests that wait for a replica with room, and completions that nobody wants any more."""
