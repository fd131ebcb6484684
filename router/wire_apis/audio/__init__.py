"""Recordings that become texts, and texts that become sound: asked of engines that have routes for it."""
