"""The engines' side: which replicas there are, how they are doing, which one suits, and how each is asked."""
