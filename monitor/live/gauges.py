"""The gauges per track: the mood as a team's own Grafana shows it."""

from monitor.live.board import Board
from monitor.telemetry import metrics as m
from monitor.tracks import TrackMatcher
from runtime.telemetry.metric import Counts

_STATES = {"pending": 1, "firing": 2, "stale": 3}
_BY_TRACK = (m.NEGATIVE, m.VALENCE, m.POSTS, m.ALERT_STATE, m.MUTED, m.EXPECTED)


class TrackGauges:
    """Sets the gauges to what the board shows.

    To be called with the clock, too, not only when windows close: an alert is read back from its
    topic, and a mute ends, while no post comes.
    """

    def __init__(self, board: Board, matcher: TrackMatcher, counts: Counts) -> None:
        self._board = board
        self._matcher = matcher
        self._counts = counts
        self._refused = 0

    def put(self) -> None:
        """Set them all; a track that is gone has none."""
        counts, board = self._counts, self._board
        refused = self._matcher.refused
        counts.add(m.REFUSED, by=refused - self._refused)
        self._refused = refused
        for metric in _BY_TRACK:
            counts.clear(metric)
        states = board.tracks()
        counts.put(m.TRACKS, value=len(states))
        for state in states:
            track = state.track
            counts.put(m.POSTS, track, value=state.posts)
            counts.put(m.ALERT_STATE, track, value=_STATES.get(state.condition, 0))
            counts.put(m.MUTED, track, value=board.muted(track))
            if state.negative_share is not None:
                counts.put(m.NEGATIVE, track, value=state.negative_share)
            if state.valence is not None:
                counts.put(m.VALENCE, track, value=state.valence)
            detector = board.detectors.get(track)
            if detector is not None and detector.warm:
                counts.put(m.EXPECTED, track, value=detector.expected())
