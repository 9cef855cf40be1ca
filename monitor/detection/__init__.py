"""Detection of negative spikes, track by track."""

from monitor.detection.alerts import alert_id, make_alert, severity
from monitor.detection.detector import SnapshotError, TrackDetector
from monitor.detection.recall import Recall
from monitor.detection.settings import DetectionSettings
from monitor.detection.transition import Transition

__all__ = [
    "DetectionSettings",
    "Recall",
    "SnapshotError",
    "TrackDetector",
    "Transition",
    "alert_id",
    "make_alert",
    "severity",
]
