"""The response cache: bytes, keys and stores. It is not built yet, and nothing reads from it."""
