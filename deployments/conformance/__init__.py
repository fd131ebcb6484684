"""
What OpenAI's API promises, as questions to a running server: one list of checks for our tests and for a user's engine.

`enginehouse doctor --engine` asks them of an engine that it starts, the contract suite of every engine that runs where
the tests run, and `enginehouse doctor --parity` compares two servers of one model. The answers of a model that nobody
knows beforehand are judged by their form and by each other, never by their words.
"""
