"""`emostream dlq --class` and `--stage` know their names."""

import pytest

from consumer.dead_letters import Reason, Stage
from emostream.commands.dlq import known
from emostream.exits import CommandError


def test_a_class_is_known_in_any_case() -> None:
    assert list(known("--class", ("notjson", "Bug"), Reason)) == ["NotJson", "Bug"]


def test_a_misspelt_class_is_wrong_usage_with_the_closest_and_all() -> None:
    with pytest.raises(CommandError, match="did you mean NotJson") as refused:
        list(known("--class", ("NotJsn",), Reason))
    assert refused.value.status == 2
    assert all(reason in str(refused.value) for reason in Reason)


def test_a_misspelt_stage_is_wrong_usage_with_the_closest() -> None:
    with pytest.raises(CommandError, match="did you mean decode"):
        list(known("--stage", ("decoding",), Stage))
