"""What routers and engines say of their load, and where it is gathered for the policy that scales."""
