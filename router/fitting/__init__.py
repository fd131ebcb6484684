"""A request as one engine takes it: abilities, roles, limits of tokens, and dialects."""
