"""Which model answers: facts of a request, rules over them, and what one model takes at once."""
