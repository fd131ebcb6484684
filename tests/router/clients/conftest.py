"""Clients' own programs, which are not collected but where `make test-clients` has installed them."""

import os

collect_ignore_glob = [] if "ENGINEHOUSE_TEST_CLIENTS" in os.environ else ["test_*.py"]
