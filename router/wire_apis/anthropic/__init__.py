"""Anthropic's Messages: what Claude Code speaks, and nothing else."""
