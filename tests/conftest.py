"""What holds for every test."""

from hypothesis import settings

# Speed belongs in bench/: how long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
