"""What the monitor watches, how it judges, and where it writes what it found."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from monitor.detection.settings import DetectionSettings
from monitor.notify.settings import NotifySettings
from monitor.settings._page import Page
from monitor.settings._tracks import Track
from runtime.settings import Http, Section

TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


class MonitorHttp(Http):
    """The monitor's own `/livez`, `/readyz`, `/metrics`, beside the consumer's."""

    port: Annotated[int, Field(ge=0, le=65535)] = 9091
    """Port to listen on; 0 takes a free one."""


class Monitor(Section):
    """The downstream service: windows, alerts, the live page (`emostream monitor`)."""

    tracks: tuple[Track, ...] = ()
    """Tracks by name, tables `[[monitor.tracks]]`: name, and topics, source, lang or keywords."""
    by: Literal["topics", "source", "lang"] = "topics"
    """Without `tracks`: one for each topic tag, source or language with enough posts."""
    max_tracks: Annotated[int, Field(ge=1, le=1000)] = 100
    """Tracks made by `by` at most; what is beyond them is counted as the track `other`."""
    false_alarms: Annotated[float, Field(gt=0, le=100)] = 0.5
    """False alarms a track and week that are accepted, over all measures: the one knob."""
    warm_s: Annotated[int, Field(ge=600, le=30 * 86_400)] = DetectionSettings().warm_s
    """Seconds of a track's history (event time) before it may fire; below a day the usual rhythm of
    its hours isn't known."""
    silence_s: Annotated[int, Field(ge=10, le=86_400)] = DetectionSettings().silence_s
    """Seconds without posts after which an open alert becomes stale; a slow track is given the time
    of twenty usual posts. By the wall clock where no event comes at all: the consumer is away."""
    lateness_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """Seconds of event time that a window waits for late posts; what comes later is counted."""
    out_of_order_s: Annotated[float, Field(ge=0, le=600)] = 30.0
    """Seconds (the broker's clock) in which events may come in any order while old posts are caught
    up with: that long a window stays open once later posts have come."""
    idle_after_s: Annotated[float, Field(ge=0, le=600)] = 10.0
    """Seconds (wall clock) after which a partition read to its end doesn't hold the others up."""
    future_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """Seconds that a post's time may lie ahead of its record's; further ahead moves no clock."""
    history: Literal["silent", "alert"] = "silent"
    """Whether posts read long after they were written, replayed ones too, may raise alerts."""
    history_after_s: Annotated[float, Field(ge=60)] = 3600.0
    """Seconds (wall clock) after which a post's time is history."""
    warm_days: Annotated[int, Field(ge=1, le=365)] = 14
    """Days of kept events that are read at the first start, and for a track that is new."""
    group_id: Annotated[str, Field(min_length=1)] = "emostream-monitor"
    """Consumer group: one member of it is active, the others stand by; it holds the offsets."""
    windows_topic: TopicName = "affect.windows"
    """Topic of the closed windows; compacted."""
    alerts_topic: TopicName = "affect.alerts"
    """Topic of the alerts' transitions, and of what people say of them."""
    mutes_topic: TopicName = "affect.mutes"
    """Topic of the mutes; compacted."""
    baselines_topic: TopicName = "affect.baselines"
    """Topic of the learnt baselines; compacted."""
    notify: tuple[NotifySettings, ...] = ()
    """Where alerts are sent, tables `[[monitor.notify]]`."""
    http: MonitorHttp = MonitorHttp()
    page: Page = Page()

    @model_validator(mode="after")
    def _safe(self) -> Self:
        names = [track.name for track in self.tracks]
        if len(set(names)) < len(names):
            raise ValueError("tracks: two have the same name")
        if len({one.name for one in self.notify}) < len(self.notify):
            raise ValueError("notify: two receivers have the same name")
        topics = (self.windows_topic, self.alerts_topic, self.mutes_topic, self.baselines_topic)
        if len(set(topics)) < len(topics):
            raise ValueError(
                "windows_topic, alerts_topic, mutes_topic and baselines_topic must be four topics"
            )
        return self
