"""A simulated engine: a child server with the times, limits and figures of a real one, and no model."""
