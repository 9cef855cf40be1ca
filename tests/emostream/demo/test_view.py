"""The live view fits the terminal, shows the valence in it, and no handle."""

import time
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from emostream.demo.tally import Tally
from emostream.demo.view import LiveView
from tests.emostream.demo.made_up import alert, event, tally_of


def drawn(tally: Tally, width: int, height: int) -> list[str]:
    view = LiveView(tally, 100)
    view.page, view.step = "http://127.0.0.1:8765/", "now live"
    out = StringIO()
    Console(file=out, width=width, height=height, force_terminal=True, color_system=None).print(
        view, end=""
    )
    return out.getvalue().splitlines()


def busy() -> Tally:
    text = "@somebody what a day\x1b[2J \u202e 😂😂 " + "and a long way to go " * 20
    tally = tally_of(
        *(event(f"p{n}", n / 100, text=text, topic=("coffee", "airline")[n % 2]) for n in range(90))
    )
    for post_id in tally.events:
        tally.sent_at[post_id] = time.monotonic()
    tally.alert_seen(alert())
    return tally


@pytest.mark.parametrize(("width", "height"), [(60, 20), (80, 24), (100, 30), (200, 50)])
def test_it_fits_and_fills_the_terminal(width: int, height: int) -> None:
    lines = drawn(busy(), width, height)
    assert max(cell_len(line) for line in lines) <= width
    assert height - 2 <= len(lines) <= height - 1


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
def test_page_moods_alert_and_valence_are_all_seen(size: tuple[int, int]) -> None:
    text = "\n".join(drawn(busy(), *size))
    for wanted in (
        "page: http://127.0.0.1:8765/",
        "negative",
        "ALERT",
        "about: gate, refund",
        "0.89",
        "90 events out",
    ):
        assert wanted in text


def test_a_strangers_text_moves_no_cursor_and_names_nobody() -> None:
    text = "\n".join(drawn(busy(), 120, 30))
    assert "somebody" not in text
    assert "\u202e" not in text
    assert "\x1b[2J" not in text


def test_before_the_first_event_it_says_so() -> None:
    text = "\n".join(drawn(Tally(), 80, 24))
    assert "no event yet" in text
    assert "None" not in text
