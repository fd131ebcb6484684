"""What an option's number may be."""

import math

import click


class FiniteRange(click.FloatRange):
    """A number within bounds. `nan` is no number, though it is neither too small nor too large; nor is `inf`."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{number} is not in the range {self._describe_range()}.", param, ctx)
        return number
