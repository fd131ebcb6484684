"""llama.cpp as a child server."""
