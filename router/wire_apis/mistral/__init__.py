"""Mistral's route for filling in, which Continue's Mistral provider asks."""
