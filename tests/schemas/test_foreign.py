"""Topics and files of any other shape are read by one rule."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.foreign import DottedPath, read_time

TREE: dict[str, Any] = {"user": {"name": "deep", "langs": ["de", {"tag": "en"}]}, "a.b": "flat"}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("user.name", "deep"),
        ("user.langs.0", "de"),
        ("user.langs.1.tag", "en"),
        ("a.b", "flat"),
        ("user.langs.2", None),
        ("user.langs.x", None),
        ("user.name.more", None),
        ("nobody", None),
        ("", None),
        (None, None),
    ],
)
def test_a_path_leads_through_objects_and_lists_or_nowhere(path: str | None, found: object) -> None:
    assert DottedPath(path).find(TREE) == found


def test_a_key_with_dots_is_found_before_a_path_is_walked() -> None:
    assert DottedPath("a.b").find({"a.b": "flat", "a": {"b": "deep"}}) == "flat"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(deadline=None)
@given(_JSON)
def test_whatever_stands_there_is_a_time_with_an_offset_or_a_value_error(value: object) -> None:
    with suppress(ValueError):
        assert read_time(value).tzinfo is not None
