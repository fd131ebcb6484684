"""llama.cpp's `/infill`: what llama.vscode and llama.vim speak."""
