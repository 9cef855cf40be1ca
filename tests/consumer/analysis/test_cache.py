"""The cache keeps what was used last, within its bound."""

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from consumer.analysis.cache import AnswerCache, nbytes_of


def test_what_was_put_is_given_back() -> None:
    cache = AnswerCache[float](max_entries=2)
    cache.put(b"a", 0.5)
    assert cache.get(b"a") == 0.5
    assert cache.get(b"b") is None


def test_the_least_recently_used_goes_first() -> None:
    cache = AnswerCache[float](max_entries=2)
    cache.put(b"a", 0.1)
    cache.put(b"b", 0.2)
    cache.get(b"a")
    cache.put(b"c", 0.3)
    assert cache.get(b"b") is None
    assert (cache.get(b"a"), cache.get(b"c")) == (0.1, 0.3)


def test_a_size_of_zero_keeps_nothing() -> None:
    cache = AnswerCache[float](max_entries=0)
    cache.put(b"a", 0.1)
    assert len(cache) == 0


VALUES = st.floats(allow_nan=False) | st.text() | st.lists(st.text()).map(tuple)


@given(
    max_entries=st.integers(0, 5),
    steps=st.lists(
        st.tuples(st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f"]), VALUES | st.none())
    ),
)
def test_the_bound_holds_whatever_is_put_and_got(
    max_entries: int, steps: list[tuple[bytes, object]]
) -> None:
    cache = AnswerCache[object](max_entries=max_entries)
    model: OrderedDict[bytes, object] = OrderedDict()
    for key, value in steps:
        if value is None:
            assert cache.get(key) == model.get(key)
            if key in model:
                model.move_to_end(key)
        else:
            cache.put(key, value)
            if max_entries:
                model[key] = value
                model.move_to_end(key)
                while len(model) > max_entries:
                    model.popitem(last=False)
        assert len(cache) <= max_entries
        assert cache.nbytes == sum(map(nbytes_of, model.values()))


def test_many_entries_are_weighed_by_the_latest() -> None:
    cache = AnswerCache[object](max_entries=1_000)
    for number in range(1_500):
        cache.put(b"%d" % number, "a text" if number > 1_200 else ("a", "b"))
    assert len(cache) == 1_000
    assert cache.nbytes == 1_000 * nbytes_of("a text")
