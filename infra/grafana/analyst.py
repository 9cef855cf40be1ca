"""The analyst's dashboard: the mood of each track, its alerts, and whether they are fresh."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from infra.grafana.panels import board, choice, curves, figure, row, states

UID = "emostream-analyst"

_OURS = 'track=~"$track"'
_STATES = {
    0: ("calm", "green"),
    1: ("pending", "yellow"),
    2: ("firing", "red"),
    3: ("stale", "blue"),
}


def _of_track(metric: str) -> str:
    """A gauge by track; the active monitor's and what a standby may still show are one."""
    return f"max by (track) ({metric}{{{_OURS}}})"


def analyst() -> Dashboard:
    """Make it: mood and alerts first, then what may be wrong with them."""
    found = board(
        "emostream: the mood",
        UID,
        "Each figure is of the last ten minutes of event time. The live page has the posts.",
        since="now-24h",
    ).with_variable(choice("track", "Track", "emostream_track_posts"))
    for part in (_now, _mood, _alerts, _trust):
        found = part(found)
    return found


def _now(found: Dashboard) -> Dashboard:
    return (
        found.with_panel(
            figure(
                "Alerts that fire",
                "Tracks whose mood is worse than usual, now.",
                "short",
                f"count({_of_track('emostream_track_alert_state')} == 2) or vector(0)",
                bad=1,
            )
        )
        .with_panel(
            figure(
                "Share negative",
                "Mean probability that a post is negative, over the chosen tracks, by posts.",
                "percentunit",
                f"sum({_of_track('emostream_track_negative_share')}"
                f" * {_of_track('emostream_track_posts')})"
                f" / sum({_of_track('emostream_track_posts')})",
            )
        )
        .with_panel(
            figure(
                "Posts, ten minutes",
                "Of the chosen tracks; a post in two tracks counts twice.",
                "short",
                f"sum({_of_track('emostream_track_posts')})",
            )
        )
        .with_panel(
            figure(
                "Tracks",
                "That are watched.",
                "short",
                "max(emostream_monitor_tracks)",
            )
        )
        .with_panel(
            figure(
                "Age of the figures",
                "Up to which event time windows are closed. Half a minute to two are normal.",
                "s",
                "min(emostream_monitor_watermark_age_seconds)",
                warn=180,
                bad=900,
            )
        )
        .with_panel(
            figure(
                "Muted",
                "Tracks of which nobody is notified.",
                "short",
                f"sum({_of_track('emostream_track_muted')})",
                warn=1,
            )
        )
    )


def _mood(found: Dashboard) -> Dashboard:
    return row(
        found,
        "Mood",
        curves(
            "Share negative, and what is usual",
            "Usual is what the detector expected of this track at this hour; it is absent until"
            " the track has a day behind it.",
            "percentunit",
            {
                "{{track}}": _of_track("emostream_track_negative_share"),
                "{{track}}, usual": _of_track("emostream_track_expected_negative_share"),
            },
            width=24,
            top=1,
        ),
        curves(
            "Above the usual",
            "Share negative less what is usual. An alert takes posts and time as well.",
            "percentunit",
            {
                "{{track}}": f"clamp_min({_of_track('emostream_track_negative_share')}"
                f" - {_of_track('emostream_track_expected_negative_share')}, 0)"
            },
        ),
        curves(
            "Valence",
            "Mean of the posts, 0 (most negative) to 1.",
            "short",
            {"{{track}}": _of_track("emostream_track_valence")},
            top=1,
        ),
        curves(
            "Posts, ten minutes",
            "Few posts tell little.",
            "short",
            {"{{track}}": _of_track("emostream_track_posts")},
        ),
    )


def _alerts(found: Dashboard) -> Dashboard:
    return row(
        found,
        "Alerts",
        states(
            "State of each track",
            "Pending: nearly enough evidence. Stale: no posts; that resolves nothing.",
            {"{{track}}": _of_track("emostream_track_alert_state")},
            _STATES,
        ),
        curves(
            "Transitions",
            "Of alerts, as they were written to the alerts' topic.",
            "short",
            {
                "{{transition}}": "sum by (transition) ("
                "increase(emostream_monitor_alerts_total[$__rate_interval]))"
            },
            width=12,
        ),
        curves(
            "Notifications",
            "Undelivered: that receiver heard nothing of it.",
            "short",
            {
                "{{receiver}} {{outcome}}": "sum by (receiver, outcome) ("
                "increase(emostream_notifications_total[$__rate_interval]))"
            },
            width=12,
        ),
    )


def _trust(found: Dashboard) -> Dashboard:
    return row(
        found,
        "Can it be believed?",
        curves(
            "Events by what became of them",
            "late and future count in no window of their time; duplicate and seen count once.",
            "short",
            {"{{fate}}": "sum by (fate) (rate(emostream_monitor_events_total[$__rate_interval]))"},
        ),
        curves(
            "Events waiting",
            "That the monitor has not read yet, by partition.",
            "short",
            {"{{partition}}": "max by (partition) (emostream_monitor_lag_events)"},
        ),
        curves(
            "Posts waiting for the model",
            "While they wait, the mood shown is that of earlier posts.",
            "short",
            {"posts": "sum(max by (topic, partition) (emostream_lag_posts))"},
        ),
    )
