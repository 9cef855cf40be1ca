"""Alert records: a detector's transition with what an analyst asks first."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID, uuid5

from msgspec import UNSET

from monitor.detection.detector import TrackDetector
from monitor.detection.recall import Recall, is_negative
from monitor.detection.terms import telling_terms
from monitor.detection.transition import Transition
from monitor.tracks.names import OTHER, clean_name
from monitor.windows.distinct import Distinct, hash64
from monitor.windows.panes import Entry
from schemas.alert import Alert, Severity, Term

_NAMESPACE = UUID("5b1f0d52-6f0e-5a0b-8f0e-2f6c1a6f4a10")
_DECIMALS = 4


def alert_id(track: str, pending_at: float, kind: str = "spike") -> str:
    """Return the alert's id: the same for the same track and time, on every run."""
    return str(uuid5(_NAMESPACE, f"{kind}\n{pending_at:.0f}\n{track}"))


def make_alert(
    transition: Transition,
    detector: TrackDetector,
    recall: Recall,
    *,
    has_authors: bool,
    has_texts: bool,
) -> Alert:
    """Return the record of a transition."""
    track = detector.track
    id_ = alert_id(track, transition.pending_at, transition.kind)
    posts = recall.since(transition.started_at)
    negative = [post for post in posts if is_negative(post)]
    spike = transition.kind == "spike"
    authors = _distinct(post.event.author for post in negative) if has_authors else None
    middle = (transition.started_at + transition.at) / 2
    yesterday, last_week = detector.same_hour(middle, 1), detector.same_hour(middle, 7)
    fired = transition.fired_at
    ended = transition.state == "resolved" and spike
    return Alert(
        version=1,
        id=str(uuid5(UUID(id_), f"{transition.state}\n{transition.at:.0f}")),
        alert_id=id_,
        track=track,
        transition=transition.state,
        kind=_kind(transition.kind),
        measure=transition.measure,
        severity=severity(transition, authors),
        observed=round(transition.observed, _DECIMALS),
        expected=round(transition.expected, _DECIMALS),
        evidence=transition.evidence,
        started_at=_utc(transition.started_at),
        fired_at=UNSET if fired is None else _utc(fired),
        resolved_at=_utc(transition.at) if ended else UNSET,
        at=_utc(transition.at),
        posts=transition.posts,
        negative_posts=round(transition.negative),
        authors=UNSET if authors is None else authors,
        emotions=_emotions(posts, recall.usual_emotions()) if spike else {},
        terms=_terms(negative, recall) if spike and has_texts else (),
        sources=_shares([post.event.source for post in negative]) if spike else {},
        langs=_shares([post.event.lang for post in negative]) if spike else {},
        top_authors=_shares([post.event.author for post in negative]) if spike else {},
        same_hour_yesterday=UNSET if yesterday is None else round(yesterday, _DECIMALS),
        same_hour_last_week=UNSET if last_week is None else round(last_week, _DECIMALS),
        examples=_examples(negative) if spike and has_texts else (),
        late=sum(1 for time in recall.late if time >= transition.started_at),
        note=_note(transition.note, has_authors=has_authors, has_texts=has_texts),
    )


def severity(transition: Transition, authors: int | None) -> Severity:
    """Return how bad it is, by how far the mood moved and how many people moved it.

    `critical`: at least .30 above the usual, by 30 people or (authors unknown) 90 negative
    posts. `info`: less than .10 above, or fewer than 10 people or 30 posts. Else `warning`. For a
    number of negative posts a minute, three times and half as much again stand for .30 and .10.
    """
    apart = abs(transition.observed - transition.expected)
    large, small = 0.30, 0.10
    if transition.measure == "negative_posts":
        large, small = 2 * transition.expected, 0.5 * transition.expected
    crowd = authors if authors is not None else transition.negative / 3
    if transition.kind != "spike" or apart < small or crowd < 10:
        return "info"
    return "critical" if apart >= large and crowd >= 30 else "warning"


def _kind(kind: str) -> Literal["spike", "level", "instrument"]:
    return "level" if kind == "level" else "instrument" if kind == "instrument" else "spike"


def _utc(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC)


def _distinct(values: Iterable[str | None]) -> int:
    authors = Distinct()
    for value in values:
        if value is not None:
            authors.add(hash64(value))
    return authors.count()


def _emotions(posts: list[Entry], usual: dict[str, float]) -> dict[str, float]:
    labelled = [post.event.emotions for post in posts if post.event.emotions is not None]
    if not labelled:
        return {}
    counts = Counter(name for names in labelled for name in names)
    changes = {
        name: round(counts[name] / len(labelled) - usual.get(name, 0.0), _DECIMALS)
        for name in counts.keys() | usual.keys()
    }
    return dict(sorted(changes.items(), key=lambda item: (-item[1], item[0])))


def _shares(values: list[str | None]) -> dict[str, float]:
    counts = Counter(clean_name(value) or OTHER for value in values if value is not None)
    return {
        value: round(count / len(values), _DECIMALS)
        for value, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:5]
    }


def _terms(negative: list[Entry], recall: Recall) -> tuple[Term, ...]:
    texts = [
        (post.event.author or post.id, post.event.text) for post in negative if post.event.text
    ]
    return telling_terms(texts, recall.usual_texts())


def _examples(negative: list[Entry]) -> tuple[str, ...]:
    """Five posts by different people, the most negative first."""
    ranked = sorted(negative, key=_by_valence)
    examples: list[str] = []
    seen: set[str] = set()
    for post in ranked:
        author = post.event.author or post.event.text or post.id
        if author not in seen:
            seen.add(author)
            examples.append(post.id)
        if len(examples) == 5:
            break
    return tuple(examples)


def _by_valence(post: Entry) -> tuple[float, str]:
    mood = post.event.sentiment
    return (0.0 if mood is None or mood.valence is None else mood.valence), post.id


def _note(note: str | None, *, has_authors: bool, has_texts: bool) -> str | None:
    parts = [note] if note else []
    if not has_authors and has_texts:
        parts.append("events carry no author: only identical texts are capped")
    elif not has_authors:
        parts.append("events carry neither author nor text: nothing is capped")
    return "; ".join(parts) or None
