"""vLLM's OpenAI server as a child."""
