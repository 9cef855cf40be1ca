"""One text that many pass on is no crowd, with authors in the events and without."""

from collections.abc import Callable, Iterable

import msgspec
import pytest

from monitor.detection import DetectionSettings
from monitor.events import reading_of
from monitor.tracks import TrackMatcher
from monitor.watch import Watch
from schemas import AffectEvent
from schemas.alert import Alert
from tests.monitor.live.stage import mood

HOUR = 3_600.0
CALM, END = 3 * HOUR, 4 * HOUR
USUAL = mood(0, END, every_s=20, negative=0.3)
WAVE = mood(CALM, CALM + 1_800, every_s=6, negative=1.0)
"""Three hundred negative posts in half an hour, beside the usual ninety."""

Text = Callable[[int], str]


def alerts_of(text: Text, **more: object) -> list[Alert]:
    wave = (
        msgspec.structs.replace(
            one,
            post_id=f"wave-{number}",
            id=f"wave-{number}",
            author=f"fan-{number}",
            text=text(number),
        )
        for number, one in enumerate(WAVE)
    )
    events: Iterable[AffectEvent] = sorted([*USUAL, *wave], key=lambda one: one.created_at)
    watch = Watch(TrackMatcher(by="topics"), DetectionSettings(warm_s=7_200))
    for offset, one in enumerate(events):
        event = reading_of(msgspec.structs.replace(one, **more))
        watch.feed(event, 0, offset, one.created_at.timestamp())
    return [one for one in watch.advance().alerts if one.kind == "spike"]


def same(number: int) -> str:
    """One text as reposts have it: other handles, links, case and punctuation."""
    return (
        f"RT @fan{number}: The new seats are a disgrace! https://x.example/{number}",
        "the new seats are a DISGRACE",
        f"The new seats are a disgrace... @fan{number}",
    )[number % 3]


def other(number: int) -> str:
    return f"The new seats are a disgrace, says number {number}"


@pytest.mark.parametrize("author", [{}, {"author": None}], ids=["authors", "no authors"])
def test_one_text_that_many_pass_on_raises_no_alert_and_as_many_texts_of_their_own_do(
    author: dict[str, None],
) -> None:
    assert "firing" not in {one.transition for one in alerts_of(same, **author)}
    alarms = [one for one in alerts_of(other, **author) if one.transition == "firing"]
    assert len(alarms) == 1
    assert ("only identical texts are capped" in (alarms[0].note or "")) == bool(author)
