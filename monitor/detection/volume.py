"""How unusual a volume is: its size against all that came before, and whether that is new."""

from collections import deque
from math import exp, log1p

_SMOOTHED = 3
"""Rows averaged: one high row alone is often a machine's."""
_WARM = 144
"""Rows before which nothing is reported: half a day of five-minute rows."""
_USUAL_HIGH = 0.98
"""The quantile that counts as usually high."""
_LEAST_SPREAD = 0.25
"""Of the usual high above the median, on a log scale: nearly silent series are not excited by 1."""
_REFRESH = 12
"""Rows between two looks at the quantiles."""
_HELD_BACK = 6
"""Rows that the quantiles don't know yet."""
_NEW = 1.2
"""How much higher than the last peak, as it fades, counts as new."""
_PEAK_KEPT = exp(-1 / 288)
"""Of a peak per row: a time constant of a day of five-minute rows."""
_BIN = 0.02
"""Width of the histogram's bins, on a log scale."""
_BINS = 2000
"""Up to exp(40), 2e17."""
_HIGHEST = exp(_BIN * _BINS)
"""What lies above counts as this: past the last bin a constant series would look like a rise."""


class VolumeDetector:
    """Scores a series of volumes, row by row, without looking ahead. Memory is bounded.

    On a log scale, the excess is how far the mean of the last three rows lies above the median of
    all earlier ones, in units of how far their 98 % quantile does. What counts is whether that is
    new: it must exceed the last peak, which fades within a day, by a fifth. A second look at the
    same storm, and a storm like yesterday's, score nothing.
    """

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=_SMOOTHED)
        self._waiting: deque[float] = deque()
        self._histogram = [0] * _BINS
        self._rows = 0
        self._median = 0.0
        self._spread = _LEAST_SPREAD
        self._peak = 0.0

    def score(self, value: float) -> float:
        """Take the next row's value (0 or more) and return its score, 0 to 1.

        0 is usual or nothing new; .39 is twice the usual high, .63 three times, on the log scale.
        """
        self._last.append(min(_HIGHEST, max(0.0, value)))
        smooth = log1p(sum(self._last) / len(self._last))
        if self._rows % _REFRESH == 0:
            self._refresh()
        self._rows += 1
        self._waiting.append(smooth)
        if len(self._waiting) > _HELD_BACK:
            self._histogram[min(_BINS - 1, int(self._waiting.popleft() / _BIN))] += 1
        if self._rows <= _WARM:
            return 0.0
        excess = (smooth - self._median) / self._spread
        self._peak *= _PEAK_KEPT
        if excess <= max(1.0, _NEW * self._peak):
            return 0.0
        self._peak = max(self._peak, excess)
        return 1 - exp(-(excess - 1) / 2)

    def _refresh(self) -> None:
        rows = sum(self._histogram)
        if not rows:
            return
        below, median = 0, -1.0
        for index, count in enumerate(self._histogram):
            below += count
            if median < 0 and below >= rows / 2:
                median = (index + 0.5) * _BIN
            if below >= _USUAL_HIGH * rows:
                self._median = median
                self._spread = max(_LEAST_SPREAD, (index + 0.5) * _BIN - median)
                return
