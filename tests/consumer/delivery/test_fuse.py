"""When nearly everything is poison, the service stops."""

import pytest

from consumer.delivery.fuse import Fuse
from consumer.errors import FuseBlown
from consumer.options import FuseLimits


def test_it_needs_a_full_window_before_it_can_blow() -> None:
    fuse = Fuse(FuseLimits(window=100, share=0.9))
    fuse.add(99, 99)
    with pytest.raises(FuseBlown, match="100 of the last 100"):
        fuse.add(1, 1)


def test_some_poison_among_good_posts_never_blows_it() -> None:
    fuse = Fuse(FuseLimits(window=100, share=0.9))
    for _ in range(100):
        fuse.add(10, 8)


def test_good_posts_of_long_ago_do_not_hide_a_bad_deploy() -> None:
    fuse = Fuse(FuseLimits(window=100, share=0.9))
    for _ in range(50):
        fuse.add(100, 0)
    for _ in range(9):
        fuse.add(10, 10)
    with pytest.raises(FuseBlown):
        fuse.add(10, 10)


def test_what_is_overtaken_is_no_poison_yet() -> None:
    fuse = Fuse(FuseLimits(window=100, share=0.9))
    fuse.add(100, 100, overtaken=lambda: 12)
    with pytest.raises(FuseBlown, match="101 of the last 101"):
        fuse.add(1, 1, overtaken=lambda: 11)


def test_a_share_above_one_switches_it_off() -> None:
    fuse = Fuse(FuseLimits(window=10, share=1.1))
    for _ in range(20):
        fuse.add(10, 10)
