"""How long a prompt may be, and how it is wrapped, follows from the model and its server."""

from typing import Any

import pytest

from consumer.analysis.model import describe, make_builder, max_input_tokens, sends_by_length
from consumer.settings import Model
from emollm.models import UnknownModel
from emollm.prompts import Wrapper
from emollm.protocol import ServerInfo
from emollm.tasks import E_C, TASKS


def info(model_id: str = "lzw1008/Emollama-7b", **limits: Any) -> ServerInfo:
    return ServerInfo(dialect="tgi", model_id=model_id, **limits)


def longest(options: Model, server: ServerInfo) -> int:
    return max_input_tokens(options, describe(options, server), server, list(TASKS.values()))


@pytest.mark.parametrize(
    ("configured", "limits", "expected"),
    [
        (0, {}, 2_000),
        (500, {}, 500),
        (5_000, {}, 2_000),
        (0, {"max_input_tokens": 1_000}, 1_000),
        (0, {"max_input_tokens": 1_000, "max_total_tokens": 1_024}, 1_024 - 48),
    ],
)
def test_the_least_of_configuration_model_and_server_holds(
    configured: int, limits: dict[str, Any], expected: int
) -> None:
    assert longest(Model(max_input_tokens=configured), info(**limits)) == expected


def test_a_configured_name_goes_over_the_servers() -> None:
    card = describe(Model(name="Emobart-large"), info("/data/model"))
    assert card.name == "Emobart-large"
    assert card.wrapper is Wrapper.BARE


def test_a_model_of_ones_own_is_as_configured() -> None:
    options = Model(name="ours", family="llama", wrapper="bare")
    assert describe(options, info("x")).wrapper is Wrapper.BARE


def test_a_model_of_ones_own_needs_only_its_wrapper() -> None:
    card = describe(Model(wrapper="human"), info("/data/ours"))
    assert (card.name, card.wrapper) == ("ours", Wrapper.HUMAN)
    assert card.max_input_tokens == 2_000
    assert longest(Model(wrapper="bare"), info("ours", max_input_tokens=500)) == 500


@pytest.mark.parametrize(("told", "room"), [("t5", 512), ("bart", 1_024), ("gpt", 2_000)])
def test_without_a_family_the_servers_counts_where_it_is_one(told: str, room: int) -> None:
    assert describe(Model(wrapper="bare"), info("ours", family=told)).max_input_tokens == room


def test_an_unknown_model_is_not_guessed() -> None:
    with pytest.raises(UnknownModel, match="configure"):
        describe(Model(), info("acme/other"))


def test_a_model_that_says_how_it_wants_to_be_asked_needs_no_configuration() -> None:
    card = describe(Model(), info("models/ours/", family="t5", wrapper="human"))
    assert (card.name, card.family, card.wrapper) == ("ours", "t5", Wrapper.HUMAN)
    assert card.max_input_tokens == 512


def test_the_table_and_the_configuration_go_over_what_a_server_says() -> None:
    says = {"family": "t5", "wrapper": "bare"}
    assert describe(Model(), info(**says)).wrapper is Wrapper.HUMAN
    options = Model(name="ours", family="llama", wrapper="human")
    assert describe(options, info("x", **says)).wrapper is Wrapper.HUMAN


def test_a_server_that_says_nonsense_is_not_believed() -> None:
    with pytest.raises(UnknownModel, match="'robot'"):
        describe(Model(), info("x", family="t5", wrapper="robot"))


def test_no_room_for_a_post_is_an_error() -> None:
    with pytest.raises(ValueError, match="max_input_tokens"):
        make_builder(Model(), info(max_input_tokens=60), (E_C,))


def test_grammars_go_along_only_when_switched_on() -> None:
    for switch in (False, True):
        builder = make_builder(Model(grammar=switch), info(), (E_C,))
        prompt = builder.build(E_C, builder.prepare("Text."))
        assert (prompt.params.grammar is not None) is switch


@pytest.mark.parametrize(
    ("options", "server", "by_length"),
    [
        (Model(), info("Emollama-7b", software="tgi"), False),
        (Model(), info("Emoopt-13b", software="tgi"), True),
        (Model(), info("Emollama-7b", software="emostream"), True),
        (Model(family="opt", wrapper="bare"), info("ours", software="tgi"), True),
        (Model(wrapper="bare"), info("ours", software="tgi"), False),
        (Model(wrapper="bare"), info("ours", software="emostream"), True),
        (Model(), info("ours", software="emostream"), False),  # nobody knows it
        (Model(length_buckets="on"), info("Emollama-7b", software="tgi"), True),
        (Model(length_buckets="off"), info("Emoopt-13b", software="tgi"), False),
    ],
)
def test_prompts_are_sent_by_length_where_the_server_pads_or_the_configuration_says_so(
    options: Model, server: ServerInfo, *, by_length: bool
) -> None:
    assert sends_by_length(options, server) is by_length
