"""
Engines that `trtllm-build` compiles: what is built, how, and whether it fits where it is to run.

A legacy path: TensorRT-LLM removed it after 1.3.0rc20. Command lines were read off the sources of 1.2 and 1.3.0rc3;
none has been run on the real thing.
"""
