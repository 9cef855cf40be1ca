"""What the demo counts and shows."""

from datetime import UTC, datetime
from io import StringIO

from rich.console import Console

from emostream.demo.summary import summarise, summary_table
from emostream.demo.tally import Tally
from emostream.demo.view import LiveView
from schemas import AffectEvent, ModelRef, Sentiment


def event(post_id: str, valence: float, human: float, text: str = "fine") -> AffectEvent:
    now = datetime.now(UTC)
    return AffectEvent(
        version=1,
        id=f"event-{post_id}",
        post_id=post_id,
        created_at=now,
        processed_at=now,
        text=text,
        meta={"human_valence": human},
        sentiment=Sentiment(valence=valence),
        emotions=("joy",) if valence > 0.5 else (),
        model=ModelRef(id="m"),
        prompts=3,
    )


def tally_of(*events: AffectEvent) -> Tally:
    tally = Tally()
    for one in events:
        tally.event_seen(one)
    return tally


def test_a_post_that_did_not_come_out_is_lost() -> None:
    tally = tally_of(event("a", 0.1, -3), event("b", 0.5, 0.1), event("c", 0.9, 3))
    tally.dead |= {"c", "d"}  # c is both: that hides nobody
    summary = summarise(tally, sent="abcde", produce_started=0.0, command_started=0.0)
    assert (summary.posts, summary.events, summary.dead_letters, summary.lost) == (5, 3, 2, 1)
    assert not summary.whole


def test_a_redelivery_is_counted_once() -> None:
    again = event("a", 0.1, -3)
    summary = summarise(tally_of(again, again), sent="a", produce_started=0.0, command_started=0.0)
    assert (summary.events, summary.redelivered, summary.lost) == (1, 1, 0)
    assert summary.prompts_per_post == 3


def test_agreement_is_pearsons_r_with_the_human_ratings() -> None:
    tally = tally_of(event("a", 0.1, -4), event("b", 0.5, 0), event("c", 0.9, 4))
    summary = summarise(tally, sent="abc", produce_started=0.0, command_started=0.0)
    assert summary.valence_pearson == 1.0


def test_an_empty_run_has_no_figures_and_no_crash() -> None:
    summary = summarise(Tally(), sent="", produce_started=0.0, command_started=0.0)
    assert summary.valence_pearson is None
    assert summary.posts_per_s is None
    shown = StringIO()
    Console(file=shown).print(summary_table(summary))
    assert "lost" in shown.getvalue()


def test_the_view_shows_posts_without_handles() -> None:
    tally = tally_of(event("a", 0.9, 3, "@somebody what a day 😂😂"))
    tally.sent = 2
    shown = StringIO()
    Console(file=shown, width=100).print(LiveView(tally, 2))
    assert "what a day" in shown.getvalue()
    assert "somebody" not in shown.getvalue()
    assert "0.90" in shown.getvalue()
