"""What the pool remembers of posts for some minutes."""

from emollm.pool.recent import Recent


class Now:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_a_value_is_remembered_for_its_seconds_from_when_it_was_last_put_in() -> None:
    now = Now()
    recent: Recent[str, int] = Recent(8, 300.0, now)
    recent.put("a", 1)
    now.at = 200.0
    recent.put("a", 2)
    now.at = 499.0
    assert recent.get("a") == 2
    now.at = 500.0
    assert recent.get("a") is None


def test_the_last_ones_are_remembered() -> None:
    recent: Recent[str, int] = Recent(2, 300.0, Now())
    for key, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        recent.put(key, value)
    assert [recent.get(key) for key in "abc"] == [3, None, 4]


def test_what_was_taken_out_is_forgotten() -> None:
    recent: Recent[str, int] = Recent(2, 300.0, Now())
    recent.put("a", 1)
    assert recent.pop("a") == 1
    assert recent.pop("a") is None
