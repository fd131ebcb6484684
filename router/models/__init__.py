"""What can be asked for: the model table, what its models can do, and what is said of them."""
