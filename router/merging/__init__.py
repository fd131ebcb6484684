"""Embedding requests of several clients, asked as one."""
