"""The tests' own modules, under names that no other folder of tests uses."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))
