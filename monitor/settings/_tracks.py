"""What is watched: tracks by name, or one for each topic tag, source or language."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from runtime.settings.section import Section

By = Literal["topics", "source", "lang"]

Name = Annotated[str, Field(min_length=1, max_length=64)]


class Track(Section):
    """One track: the posts that meet every condition which is given."""

    name: Name
    """What it is called in windows, alerts and labels."""
    topics: tuple[str, ...] = ()
    """Topic tags, of which a post has one at least; case doesn't matter."""
    source: tuple[str, ...] = ()
    """Where it was posted: one of these."""
    lang: tuple[str, ...] = ()
    """Its language: one of these."""
    keywords: tuple[str, ...] = ()
    """Words and phrases, hashtags and handles, of which its text holds one at least."""
    all: bool = False
    """Every post, instead of conditions."""

    @model_validator(mode="after")
    def _some_condition(self) -> Self:
        conditions = self.topics or self.source or self.lang or self.keywords
        if bool(conditions) == self.all:
            raise ValueError(
                f"track {self.name!r}: give topics, source, lang or keywords, or all = true for"
                " every post"
            )
        return self
