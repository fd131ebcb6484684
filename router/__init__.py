"""The HTTP surface and every decision about a request. It knows nothing of Ray."""
