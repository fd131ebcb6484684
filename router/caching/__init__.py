"""Answers that are kept and shared: what may be, what identifies one, and how it is given again."""
