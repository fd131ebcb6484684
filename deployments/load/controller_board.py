"""
The load board of a process's scaling policies.

A module of its own: Serve pickles a policy with all that its module holds, and a thread's lock is not to be pickled.
"""

from deployments.load.board import BoardReader
from deployments.serve_internals import publish_wish, read_board

BOARD = BoardReader(read_board, publish_wish)
