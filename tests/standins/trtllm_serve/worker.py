"""
One rank of the engine: a process in a group of its own, as MPI's workers are.

It ends when its standard input does, thus with the server, however that ended. `stubborn` makes it stay for
two minutes.
"""

import sys
import time

STUBBORN_S = 120

if __name__ == "__main__":
    sys.stdin.read()
    if "stubborn" in sys.argv:
        time.sleep(STUBBORN_S)
