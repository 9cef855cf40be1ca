"""The detector on a file: what it would have reported, so that the knob is set on evidence."""

from monitor.backtest.events import EventFileError, Tally, as_row, backtest

__all__ = ["EventFileError", "Tally", "as_row", "backtest"]
