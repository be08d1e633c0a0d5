"""Medians with their intervals, and tables in Markdown."""

import statistics
from math import comb
from typing import NamedTuple

import machine

# How sure an interval is to hold the true median.
CONFIDENCE = 0.95


class Median(NamedTuple):
    """The median of several rounds, and the interval in which the true one lies."""

    value: float
    low: float
    high: float

    def format(self, digits=2):
        low, high = f"{self.low:.{digits}f}", f"{self.high:.{digits}f}"
        return f"{self.value:.{digits}f} ({low} to {high})"


def median(values):
    """Return the ``Median`` of some values.

    The interval comes from their order alone, whatever their distribution. Fewer than
    six values say too little for ``CONFIDENCE``: then it holds all of them.
    """
    ordered = sorted(values)
    count = len(ordered)
    outside, left_out = 0.0, -1
    while left_out < count:
        outside += comb(count, left_out + 1) / 2**count
        if outside > (1 - CONFIDENCE) / 2:
            break
        left_out += 1
    left_out = max(left_out, 0)
    return Median(
        statistics.median(ordered), ordered[left_out], ordered[count - 1 - left_out]
    )


def ratio(numerators, denominators):
    """Return the ``Median`` of the ratios of rounds that were run in turns."""
    pairs = zip(numerators, denominators, strict=True)
    return median([above / below for above, below in pairs])


def say_table(title, heads, rows):
    """Print a table in Markdown, its columns aligned.

    :param rows: lists of texts and numbers; a number is shown as it is
    """
    lines = [heads, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]

    def say(cells):
        machine.say(f"| {' | '.join(map(str.ljust, cells, widths))} |")

    machine.say(f"\n### {title}\n")
    say(heads)
    machine.say(f"| {' | '.join('-' * width for width in widths)} |")
    for cells in lines[1:]:
        say(cells)
