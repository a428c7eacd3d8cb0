"""Medians and ratios over the rounds of a scenario."""

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One thing that a scenario measures."""

    name: str
    title: str
    digits: int = 1
    # Whether it is also shown as a ratio to the reference.
    ratio: bool = False


@dataclass(frozen=True)
class Spread:
    """A median with the smallest and the largest value behind it."""

    median: float
    low: float
    high: float


def spread(values):
    """The median and the extremes of values; None when there are none."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(median(known), min(known), max(known))


def values(rounds, name):
    """One figure of each round, None for a round that failed or lacks it."""
    return [one.get(name) if one.get("problem") is None else None for one in rounds]


def ratios(rounds, reference, name):
    """A figure over the reference's in the same round: what changes the machine's pace changes both."""
    pairs = zip(values(rounds, name), values(reference, name))
    return [own / other for own, other in pairs if own is not None and other]
