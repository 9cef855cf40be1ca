"""Event-time windows: ten-second panes, closed by the watermark, added up to minutes."""

from monitor.windows.minute import Minute
from monitor.windows.panes import (
    PANE_S,
    PANES_IN_WINDOW,
    WINDOW_S,
    ClosedPane,
    Entry,
    Fate,
    Panes,
    TrackPane,
)
from monitor.windows.reposts import Reposts
from monitor.windows.watermark import Watermark

__all__ = [
    "PANES_IN_WINDOW",
    "PANE_S",
    "WINDOW_S",
    "ClosedPane",
    "Entry",
    "Fate",
    "Minute",
    "Panes",
    "Reposts",
    "TrackPane",
    "Watermark",
]
