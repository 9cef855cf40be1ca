"""The names of the page's log events: an interface, one line of meaning each."""

from typing import Final

EVENTS: Final[dict[str, str]] = {}
"""Name to meaning."""


def _event(name: str, meaning: str) -> str:
    EVENTS[name] = meaning
    return name


PAGE_LISTENS = _event("page_listens", "The page is served at `url`.")
PAGE_CHARTS_MISSING = _event(
    "page_charts_missing", "uPlot isn't there: tables instead of charts; `reason` says what to do."
)
PAGE_ACTION = _event(
    "page_action", "Someone did `kind` to `target`; `verified` if a proxy names them."
)
PAGE_ACTION_FAILED = _event("page_action_failed", "An action was not written; `error` says why.")
PAGE_REFUSED = _event("page_refused", "A request was refused; `reason` names the rule.")
PAGE_VIEWER_DROPPED = _event(
    "page_viewer_dropped", "A viewer read too slowly and was disconnected; it comes back by itself."
)
PAGE_CHANGES_ENDED = _event(
    "page_changes_ended", "The monitor's changes ended with an `error`: the page shows old figures."
)
