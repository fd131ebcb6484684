"""Filling in the middle: a text before and one behind the cursor, as a prompt that the model was trained for."""
