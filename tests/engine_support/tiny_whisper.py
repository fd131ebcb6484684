"""
Run in vLLM's environment with the path of a new folder: writes a Whisper of one layer with random weights.

Its tokens are bytes, and Whisper's own marks. Only letters and the blank have weights that count, so that what it
hears, whatever that is, are letters.
"""

import sys

import torch  # vLLM's environment has it and the next one
from tokenizers import AddedToken, pre_tokenizers
from transformers import (
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)
from transformers.models.whisper.tokenization_whisper import LANGUAGES

folder = sys.argv[1]
texts = sorted(pre_tokenizers.ByteLevel.alphabet())
languages = [f"<|{code}|>" for code in LANGUAGES]
marks = [
    "<|endoftext|>", "<|startoftranscript|>", *languages, "<|translate|>", "<|transcribe|>", "<|startoflm|>",
    "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
]  # fmt: skip
times = [f"<|{step / 50:.2f}|>" for step in range(1501)]
vocabulary = {token: number for number, token in enumerate([*texts, *marks, *times])}

tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[])
tokenizer.add_special_tokens({"additional_special_tokens": marks[1:]})
tokenizer.add_tokens([AddedToken(time, normalized=False, special=False) for time in times])
WhisperProcessor(WhisperFeatureExtractor(), tokenizer).save_pretrained(folder)

torch.manual_seed(0)
config = WhisperConfig(
    vocab_size=len(vocabulary), d_model=128, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
    decoder_attention_heads=2, encoder_ffn_dim=128, decoder_ffn_dim=128, max_target_positions=64, init_std=0.5,
    pad_token_id=vocabulary["<|endoftext|>"], bos_token_id=vocabulary["<|endoftext|>"],
    eos_token_id=vocabulary["<|endoftext|>"], decoder_start_token_id=vocabulary["<|startoftranscript|>"],
    suppress_tokens=None, begin_suppress_tokens=None, dtype="float32",
)  # fmt: skip
model = WhisperForConditionalGeneration(config)
counting = [number for token, number in vocabulary.items() if token == "Ġ" or (token.isascii() and token.islower())]
weights = torch.full((len(vocabulary), 1), 0.01)
weights[[number for number in counting if number < len(texts)]] = 1.0
with torch.no_grad():
    model.model.decoder.embed_tokens.weight.mul_(weights)
model.save_pretrained(folder)
