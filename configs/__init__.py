"""Every setting of Enginehouse: typed models, the files that hold them, and their checks."""

from configs.check import load
from configs.finding import ConfigError, Finding
from configs.serve_file import ServeFile

__all__ = ["ConfigError", "Finding", "ServeFile", "load"]
