"""The response cache: bytes, keys and stores. Nothing reads from it yet."""
