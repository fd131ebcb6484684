"""
TensorRT-LLM's own server, `trtllm-serve`, behind a front: it asks for no key and speaks OpenAI's API with an accent.

Nothing in here imports TensorRT-LLM. What is known of its server was read off version 1.3.0rc3, whose own code was run
with its native parts replaced; nothing has been run on the whole of it.
"""
