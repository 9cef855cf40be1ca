"""PromQL of the consumers that are chosen at the top of the engineer's dashboard."""

from typing import Final

OURS: Final = 'instance=~"$instance"'
"""Selects them."""


def rate(metric: str, *more: str) -> str:
    """Give a counter's increase a second; `more` selects further by labels."""
    return f"rate({metric}{{{', '.join((OURS, *more))}}}[$__rate_interval])"


def quantile(share: float, metric: str, by: str = "") -> str:
    """Give what this share of a histogram's observations stayed below; `by` is one more label."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) ({rate(f'{metric}_bucket')}))"
