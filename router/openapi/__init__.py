"""The OpenAPI document: what FastAPI knows of the routes, made whole and true."""
