"""What to do about a server's trouble, said once, with the keys of the model that it is of."""

from emollm.errors import Unauthorized, WrongModel
from emollm.models import UnknownModel, find_model
from emollm.pool import advice

SECOND = "model.second"


def test_keys_are_named_in_the_section_that_names_the_server() -> None:
    assert advice(Unauthorized("status 401"), SECOND).startswith(
        "status 401: check model.second.token or model.second.token_file"
    )


def test_a_model_that_nobody_knows_is_told_the_second_ones_keys() -> None:
    try:
        find_model("foo/bar")
    except UnknownModel as error:
        words = advice(WrongModel(str(error)), SECOND)
    assert "configure model.second.wrapper" in words
    assert "and model.second.family" in words
    assert "check which model" not in words


def test_what_to_do_is_not_said_twice() -> None:
    failed = "m does not answer as an EmoLLM would. Check which model the server loaded."
    assert advice(WrongModel(failed)) == failed
    assert advice(WrongModel("a serves b, and the model in use is c"), SECOND) == (
        "a serves b, and the model in use is c: check which model the server loaded, and"
        " model.second.name"
    )
