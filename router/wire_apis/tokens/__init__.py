"""Texts as tokens, in vLLM's words and in llama.cpp's."""
