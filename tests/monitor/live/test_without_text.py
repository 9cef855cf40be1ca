"""`output.include_text = false`: what the monitor then can't say, and that it says so."""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from monitor.detection import DetectionSettings
from monitor.events import reading_of
from monitor.settings import load
from monitor.tracks import TrackMatcher
from monitor.watch import Closed, Watch
from runtime.settings import ConfigError
from schemas import AffectEvent
from tests.monitor.live.stage import closing, make_stage, mood, posts

HOUR = 3_600.0
STORM = [
    *mood(0, 4 * HOUR, every_s=40, negative=0.3),
    *mood(4 * HOUR, 4 * HOUR + 900, every_s=4, negative=0.8),
]


def watched(events: Iterable[AffectEvent], *, texts: bool) -> Closed:
    watch = Watch(TrackMatcher(by="topics"), DetectionSettings(warm_s=7_200), texts=texts)
    for offset, one in enumerate(events):
        watch.feed(reading_of(one), 0, offset, one.created_at.timestamp())
    return watch.advance()


def test_an_alert_has_terms_and_examples_where_events_carry_text() -> None:
    alert = watched(STORM, texts=True).alerts[-1]
    assert alert.transition == "firing"
    assert {"signal", "failure", "signal failure"} & {one.term for one in alert.terms}
    assert len(alert.examples) == 5


@pytest.mark.parametrize("texts", [False, True])
def test_without_texts_there_are_no_terms_no_examples_and_no_share_of_reposts(
    *, texts: bool
) -> None:
    """Whether the configuration says so, or the events just have none."""
    bare = [msgspec.structs.replace(one, text=None) for one in STORM]
    closed = watched(bare if texts else STORM, texts=texts)
    assert closed.alerts[-1].transition == "firing"
    for alert in closed.alerts:
        assert (alert.terms, alert.examples) == ((), ())
    if texts:
        assert all(window.repost_share is msgspec.UNSET for window in closed.windows)


def test_a_track_of_keywords_is_refused_with_the_way_out(tmp_path: Path) -> None:
    config = tmp_path / "emostream.toml"
    config.write_text(
        "[output]\ninclude_text = false\n"
        '[[monitor.tracks]]\nname = "rail"\nkeywords = ["late train"]\n'
    )
    with pytest.raises(ConfigError, match="'rail' looks for keywords, and events carry no text"):
        load(config, {})


async def test_it_is_logged_at_the_start(bootstrap: str, tmp_path: Path) -> None:
    stage = await make_stage(bootstrap, tmp_path)
    bare = [msgspec.structs.replace(one, text=None, author=None) for one in posts(0, 200)]
    await stage.write([*bare, *closing(10_000, 1_000)])
    with capture_logs() as logs:
        async with stage.running(output={"include_text": False}):
            expected = await stage.oracle()
            await stage.windows_until(expected)
    warnings = [one for one in logs if one["log_level"] == "warning"]
    assert [one["event"] for one in warnings] == ["no_text", "no_authors"]
    assert warnings[0]["setting"] == "output.include_text"
