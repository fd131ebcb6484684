"""Several backends behind one name: which one a session gets, and how a new one is tried beside the others."""
