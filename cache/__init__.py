"""The response cache: bytes, keys and stores. It knows nothing of HTTP or models."""
