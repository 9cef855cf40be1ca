"""What a configuration asks for: tracks, detectors, the watch; the same live and in a backtest."""

from hashlib import blake2b

import msgspec

from monitor.detection import DetectionSettings
from monitor.settings import Settings
from monitor.tracks import TrackMatcher, TrackRule, same_name
from monitor.tracks.keywords import normalise
from monitor.watch import Watch


def rules(settings: Settings) -> tuple[TrackRule, ...]:
    """The tracks that the configuration names."""
    return tuple(
        TrackRule(
            name=track.name,
            topics=track.topics,
            sources=track.source,
            langs=track.lang,
            keywords=track.keywords,
            all=track.all,
        )
        for track in settings.monitor.tracks
    )


def digest(rule: TrackRule) -> str:
    """Return what two rules have in common that find the same posts, whatever their spelling."""
    conditions = {
        "topics": sorted({same_name(one) for one in rule.topics}),
        "sources": sorted({one.casefold() for one in rule.sources}),
        "langs": sorted({one.casefold() for one in rule.langs}),
        "keywords": sorted({" ".join(normalise(one).split()) for one in rule.keywords}),
    }
    given = {name: words for name, words in conditions.items() if words}
    return blake2b(msgspec.json.encode(given), digest_size=8).hexdigest()


def make_matcher(settings: Settings) -> TrackMatcher:
    """What finds an event's tracks.

    Raises:
        ValueError: a track's name or condition can't be used; the message says which.
    """
    monitor = settings.monitor
    named = rules(settings)
    by = None if named else monitor.by
    return TrackMatcher(named, by=by, max_tracks=monitor.max_tracks)


def detection(settings: Settings) -> DetectionSettings:
    """The detectors' settings."""
    monitor = settings.monitor
    return DetectionSettings(
        false_alarms=monitor.false_alarms,
        warm_s=monitor.warm_s,
        silence_s=monitor.silence_s,
        lateness_s=monitor.lateness_s,
    )


def make_watch(settings: Settings, matcher: TrackMatcher) -> Watch:
    """The watch that the configuration asks for."""
    return Watch(
        matcher,
        detection(settings),
        texts=settings.output.include_text,
        future_s=settings.monitor.future_s,
        out_of_order_s=settings.monitor.out_of_order_s,
    )
