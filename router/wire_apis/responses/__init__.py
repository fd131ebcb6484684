"""OpenAI's Responses: what Codex speaks, and nothing else."""
