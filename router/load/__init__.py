"""What a router sees of the load, for whoever decides how many replicas there are."""
