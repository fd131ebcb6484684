"""Editors and what they need: settings to paste, and each one's first request to try."""
