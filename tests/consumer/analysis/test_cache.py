"""The cache keeps what was used last, within both of its bounds."""

from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.analysis.cache import AnswerCache, nbytes_of


def test_what_was_put_is_given_back() -> None:
    cache = AnswerCache[float](max_entries=2, max_bytes=10_000)
    cache.put(b"a", 0.5)
    assert cache.get(b"a") == 0.5
    assert cache.get(b"b") is None


def test_the_least_recently_used_goes_first() -> None:
    cache = AnswerCache[float](max_entries=2, max_bytes=10_000)
    cache.put(b"a", 0.1)
    cache.put(b"b", 0.2)
    cache.get(b"a")
    cache.put(b"c", 0.3)
    assert cache.get(b"b") is None
    assert (cache.get(b"a"), cache.get(b"c")) == (0.1, 0.3)


def test_a_size_of_zero_keeps_nothing() -> None:
    cache = AnswerCache[float](max_entries=0, max_bytes=10_000)
    cache.put(b"a", 0.1)
    assert len(cache) == 0


def test_a_value_larger_than_the_cache_pushes_nothing_out() -> None:
    cache = AnswerCache[str](max_entries=10, max_bytes=1_000)
    cache.put(b"a", "small")
    cache.put(b"b", "x" * 2_000)
    assert cache.get(b"a") == "small"
    assert cache.get(b"b") is None


def test_an_entry_lives_for_its_time() -> None:
    now = 100.0
    cache = AnswerCache[float](max_entries=2, max_bytes=10_000, ttl_s=10, monotonic=lambda: now)
    cache.put(b"a", 0.1)
    now = 109.9
    assert cache.get(b"a") == 0.1
    now = 110.0
    assert cache.get(b"a") is None
    assert (len(cache), cache.nbytes) == (0, 0)


VALUES = st.floats(allow_nan=False) | st.text() | st.lists(st.text()).map(tuple)


@pytest.mark.parametrize("max_bytes", [0, 500, 5_000])
@given(
    max_entries=st.integers(0, 5),
    steps=st.lists(
        st.tuples(st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f"]), VALUES | st.none())
    ),
)
def test_the_bounds_hold_whatever_is_put_and_got(
    max_bytes: int, max_entries: int, steps: list[tuple[bytes, object]]
) -> None:
    cache = AnswerCache[object](max_entries=max_entries, max_bytes=max_bytes)
    model: OrderedDict[bytes, object] = OrderedDict()
    for key, value in steps:
        if value is None:
            assert cache.get(key) == model.get(key)
            if key in model:
                model.move_to_end(key)
        else:
            cache.put(key, value)
            if max_entries and nbytes_of(value) <= max_bytes:
                model[key] = value
                model.move_to_end(key)
                while len(model) > max_entries or sum(map(nbytes_of, model.values())) > max_bytes:
                    model.popitem(last=False)
        assert len(cache) <= max_entries
        assert cache.nbytes == sum(map(nbytes_of, model.values())) <= max_bytes
