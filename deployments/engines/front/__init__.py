"""
The front: a small OpenAI server in the replica, before an engine that cannot stand before clients by itself.

Some servers cannot ask for a key (`trtllm-serve`, Ollama), speak OpenAI's API with an accent, or belong to somebody
else. A front listens where the replica would, asks for the replica's secret, lets through the paths that it knows and
no others, and turns requests and answers into what each side expects.
"""
