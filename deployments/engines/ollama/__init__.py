"""Ollama as a child server, and its API behind OpenAI's."""
