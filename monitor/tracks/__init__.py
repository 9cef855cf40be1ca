"""Tracks: what the monitor follows, and which events belong to each."""

from monitor.tracks.keywords import Keywords
from monitor.tracks.matcher import By, TrackMatcher, TrackRule
from monitor.tracks.names import MAX_NAME, OTHER, clean_name, same_name

__all__ = [
    "MAX_NAME",
    "OTHER",
    "By",
    "Keywords",
    "TrackMatcher",
    "TrackRule",
    "clean_name",
    "same_name",
]
