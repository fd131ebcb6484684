"""Ollama's API, for the models of the whole cluster: not Ollama as an engine, which is the other direction."""
