"""What may be wrong with a configuration file: with its text, with each value, and with what its parts say together."""
