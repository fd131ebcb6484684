"""Files and batches: JSONL in, JSONL out, in the slack of the house."""
