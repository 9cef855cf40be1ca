"""The demo's summary compares what went in with what came out; each figure explains itself."""

from datetime import timedelta
from io import StringIO

from rich.console import Console

from emostream.demo.summary import Summary, summarise, summary_table
from emostream.demo.tally import Tally
from tests.emostream.demo.made_up import NOON, alert, event, tally_of


def close(tally: Tally, sent: str = "abc", **more: object) -> Summary:
    storm_at = NOON if more.pop("storm", False) else None
    return summarise(
        tally,
        sent=list(sent),
        storm_at=storm_at,
        produce_started=0.0,
        command_started=0.0,
        **more,  # type: ignore[arg-type]
    )


def shown(summary: Summary) -> str:
    out = StringIO()
    Console(file=out, width=80).print(summary_table(summary))
    return out.getvalue()


def test_a_post_that_did_not_come_out_is_lost() -> None:
    tally = tally_of(event("a", 0.1, -3), event("b", 0.5, 0.1), event("c", 0.9, 3))
    tally.dead |= {"c", "d"}  # c is both: that hides nobody
    summary = close(tally, "abcde")
    assert (summary.posts, summary.events, summary.dead_letters, summary.lost) == (5, 3, 2, 1)
    assert not summary.whole


def test_what_was_under_way_at_ctrl_c_is_not_called_lost() -> None:
    summary = close(tally_of(event("a", 0.1)), "ab", interrupted=True)
    assert summary.whole
    assert "still under way when you stopped it" in shown(summary)


def test_a_redelivery_is_counted_once() -> None:
    again = event("a", 0.1, -3)
    summary = close(tally_of(again, again), "a")
    assert (summary.events, summary.redelivered, summary.lost) == (1, 1, 0)
    assert summary.prompts_per_post == 3


def test_agreement_is_pearsons_r_with_the_human_ratings() -> None:
    tally = tally_of(event("a", 0.1, -4), event("b", 0.5, 0), event("c", 0.9, 4))
    assert close(tally).valence_pearson == 1.0


def test_the_delay_is_event_time_from_the_storms_first_post_to_the_firing() -> None:
    tally = tally_of(event("a", 0.1))
    tally.alert_seen(alert())
    tally.alert_seen(alert(id="t2", transition="resolved", at=NOON + timedelta(minutes=20)))
    summary = close(tally, "a", storm=True)
    assert (summary.alerts, summary.alert_delay_s, summary.false_alerts) == (1, 180.0, 0)


def test_what_fires_elsewhere_before_or_without_a_storm_is_false() -> None:
    tally = tally_of(event("a", 0.1))
    tally.alert_seen(alert(alert_id="a2", track="coffee"))
    tally.alert_seen(alert(alert_id="a3", fired_at=NOON - timedelta(minutes=1)))
    tally.alert_seen(alert(alert_id="a4", transition="pending"))
    summary = close(tally, "a", storm=True)
    assert (summary.alerts, summary.alert_delay_s, summary.false_alerts) == (2, None, 2)
    assert close(tally, "a").false_alerts == 2


def test_every_figure_has_a_line_and_none_is_shown_without_a_value() -> None:
    for tally in (Tally(), tally_of(event("a", 0.1, -4), event("b", 0.5, 0))):
        text = shown(close(tally, "ab"))
        assert "None" not in text
        assert all(len(line.split()) > 1 for line in text.splitlines()[1:] if line.strip())
