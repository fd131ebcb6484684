"""Canaries across a house: where they are kept, who watches them, and what is shown of them."""
