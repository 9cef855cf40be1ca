"""What the demo sends: hours of ordinary posts, then forty minutes in which a storm breaks out.

Event time is compressed: in the second part one second plays one minute. Texts are real rated
tweets (their authors and topics made up here) and, in the storm, posts of our own writing.
"""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from emostream.demo.storm_texts import storm_texts
from schemas import Post

Role = Literal["history", "calm", "storm"]

SPEED = 60.0
"""Seconds of event time that one second of the live part plays."""
STORM_TRACK = "airline"
TRACKS = (STORM_TRACK, "coffee", "football")
LIVE_S = 40.0
"""Of the live part, on the clock: forty minutes of event time."""
_STORM_S = (10.0, 22.0)
"""When in it the storm begins and ends."""
_HISTORY_SHARE = 0.6
_STORM_SHARE = 0.12
"""Of all posts. Of 2,400: 1,440 of history at 17 a minute, then 12 minutes with 24 angry ones each
among them."""
_AUTHORS = 600


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One post, what it is for, and when it is sent."""

    post: Post
    role: Role
    at_s: float
    """Seconds after the live part's start; 0 for history, which is sent as fast as it is read."""


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """All that is sent, in order."""

    planned: tuple[Planned, ...]
    storm_at: datetime | None
    """Event time of the storm's first post; None where there are too few posts for one."""

    def of(self, *roles: Role) -> list[Planned]:
        """The posts of these roles."""
        return [one for one in self.planned if one.role in roles]


def tell(tweets: Sequence[Post], count: int, *, seed: int, now: datetime) -> Story:
    """Plan `count` posts, all of them before `now` in event time.

    `tweets` must be `count` at least. The same seed and time give the same story.
    """
    rng = random.Random(seed)  # noqa: S311 - no secret
    storm = round(count * _STORM_SHARE)
    history = round(count * _HISTORY_SHARE)
    calm = count - storm - history
    drawn = iter(rng.sample(list(tweets), history + calm))
    live_start = now - timedelta(seconds=LIVE_S * SPEED)
    per_minute = calm / (LIVE_S * SPEED / 60)
    span_s = 60 * history / max(per_minute, 1.0)
    planned = [
        Planned(
            post=_dressed(next(drawn), live_start - timedelta(seconds=back), rng),
            role="history",
            at_s=0.0,
        )
        for back in sorted((rng.uniform(1, span_s) for _ in range(history)), reverse=True)
    ]
    live: list[Planned] = []
    for at in (rng.uniform(0, LIVE_S) for _ in range(calm)):
        post = _dressed(next(drawn), live_start + timedelta(seconds=at * SPEED), rng)
        live.append(Planned(post=post, role="calm", at_s=at))
    begins, ends = _STORM_S
    for number, text in enumerate(storm_texts(storm, rng)):
        at = begins if number == 0 else rng.uniform(begins, ends)
        post = Post(
            id=f"demo-storm-{number}",
            text=text,
            source="demo",
            author=_author(rng),
            created_at=live_start + timedelta(seconds=at * SPEED),
            lang="en",
            topics=(STORM_TRACK,),
        )
        live.append(Planned(post=post, role="storm", at_s=at))
    live.sort(key=lambda one: one.at_s)
    return Story(
        planned=(*planned, *live),
        storm_at=live_start + timedelta(seconds=begins * SPEED) if storm else None,
    )


def _dressed(tweet: Post, at: datetime, rng: random.Random) -> Post:
    """A rated tweet with a time, a topic and an author, all three made up."""
    return msgspec.structs.replace(
        tweet, created_at=at.astimezone(UTC), topics=(rng.choice(TRACKS),), author=_author(rng)
    )


def _author(rng: random.Random) -> str:
    return f"demo-author-{rng.randrange(_AUTHORS)}"
