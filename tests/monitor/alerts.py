"""Made-up transitions of alerts."""

from typing import Any

from schemas.alert import Alert
from tests.monitor.live.made import T0


def make_alert(transition: str, alert_id: str = "alert-0", **fields: Any) -> Alert:
    """Make an alert's transition: of the track `trains`, at `T0`, unless `fields` say otherwise."""
    defaults: dict[str, Any] = {
        "version": 1,
        "id": f"{alert_id}-{transition}",
        "track": "trains",
        "measure": "negative_share",
        "severity": "warning",
        "observed": 0.7,
        "expected": 0.3,
        "started_at": T0,
        "at": T0,
        "posts": 10,
    }
    return Alert(transition=transition, alert_id=alert_id, **(defaults | fields))  # type: ignore[arg-type]
