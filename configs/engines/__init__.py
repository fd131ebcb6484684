"""The settings of each engine, one file an engine. `configs.engine` is their door."""
