"""What the monitor says of one track in one minute."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.event import NotEmpty, Timestamp, UnitInterval

Count: TypeAlias = Annotated[int, Meta(ge=0)]


class OffsetRange(msgspec.Struct, frozen=True, kw_only=True):
    """The records of one partition that a window was built from, both ends included."""

    partition: Annotated[int, Meta(ge=0)]
    first: Annotated[int, Meta(ge=0)]
    last: Annotated[int, Meta(ge=0)]


class PaneSums(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Ten seconds of a window, as sums over posts: what the detector steps through.

    An author's posts, and those of one text, are capped within the hour: past the cap they count
    in `posts` alone. A detector that is fed these again comes to the same state.
    """

    at: Annotated[int, Meta(ge=0)]
    """Unix seconds of the pane's start."""
    posts: Count = 0
    """Distinct posts, capped or not."""
    scored: float = 0.0
    """Posts that have a valence, after the caps; the sums below are over these."""
    soft: float = 0.0
    """Sum of the probabilities that a post is negative: Phi((0.43 - valence) / 0.11)."""
    soft_squares: float = 0.0
    negative: float = 0.0
    """Posts with a valence below 0.43, after the caps."""
    valence: float = 0.0
    people: Annotated[float, Meta(ge=0)] = 0.0
    """At least so many people wrote the negative posts: one for each whose author this track hadn't
    met in the hour, and what the cap tells of known authors' posts; without authors, new texts."""
    labelled: float = 0.0
    """Posts of which E-c was answered, after the caps."""
    anger: float = 0.0
    fear: float = 0.0
    sadness: float = 0.0
    disgust: float = 0.0
    readers: dict[str, int] = {}
    """Posts by who read them: model, revision and opinion."""


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles of valence, exact to 0.01."""

    p10: UnitInterval
    p50: UnitInterval
    p90: UnitInterval


class ExpectedValue(msgspec.Struct, frozen=True, kw_only=True):
    """What the detector expected of a figure before the minute began, and 95 % of what is usual."""

    expected: UnitInterval
    low: UnitInterval
    high: UnitInterval


class Expected(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A track's past and hour of day, as alerts compare with them."""

    negative_soft: ExpectedValue | UnsetType = UNSET
    """Of the panes' `soft / scored`: authors and texts capped."""
    valence: ExpectedValue | UnsetType = UNSET
    """Of the panes' `valence / scored`."""


class Window(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One track's posts of one closed minute of event time (version 1).

    Tumbling: `start` is included, `end` is not. Written again after a restart, it has the same key
    and the same content. Means and shares are absent where no post had the value.
    """

    version: Literal[1]
    track: NotEmpty
    start: Timestamp
    end: Timestamp
    posts: Count
    """Distinct posts: neither a redelivered event nor another model's reading counts again."""
    late: Count = 0
    """Events that came after the window before this one had closed: counted here, in no window."""
    scored: Count = 0
    """Posts that have a valence; what the shares and means of valence are taken over."""
    negative: Count = 0
    """Posts with a valence below 0.43."""
    negative_share: UnitInterval | UnsetType = UNSET
    """`negative / scored`."""
    negative_soft: UnitInterval | UnsetType = UNSET
    """Mean probability that a post is negative: Phi((0.43 - valence) / 0.11)."""
    valence_mean: UnitInterval | UnsetType = UNSET
    valence_quantiles: Quantiles | UnsetType = UNSET
    emotions: dict[str, UnitInterval] = {}
    """Emotion to the share of posts that carry it (of those of which E-c was answered)."""
    intensity: dict[str, UnitInterval] = {}
    """Emotion to its mean intensity, over the posts that have one."""
    authors: Count | UnsetType = UNSET
    """Distinct authors (pseudonyms); absent where events carry no author."""
    top_author_share: UnitInterval | UnsetType = UNSET
    repost_share: UnitInterval | UnsetType = UNSET
    """Posts whose normalised text this track had in the last 24 hours; absent without texts."""
    models: dict[str, UnitInterval] = {}
    """Model (id, `@`, revision) to the share of posts that it read."""
    opinions: dict[str, UnitInterval] = {}
    """Whose reading it was (`both`, `first`, `second`) to the share of posts, where events say."""
    sources: dict[str, UnitInterval] = {}
    langs: dict[str, UnitInterval] = {}
    expected: Expected | UnsetType = UNSET
    """Absent while the track's baseline is warming, and where no post has a valence."""
    offsets: tuple[OffsetRange, ...] = ()
    panes: tuple[PaneSums, ...] = ()
    """The window's ten-second panes that have posts, oldest first."""
