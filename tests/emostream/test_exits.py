"""What is looked up as text must be there: a class that is renamed would lose its exit status."""

import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from emollm.errors import FailedAlone, ModelError, Unavailable, WrongModel
from emostream import exits
from emostream.exits import explain
from runtime.errors import Halted, Misconfigured
from runtime.kafka.errors import TopicMissing

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.mark.parametrize("name", sorted(exits._EXPLAINED))
def test_every_error_that_is_explained_by_name_exists_under_that_name(name: str) -> None:
    module, _, kind = name.rpartition(".")
    found = getattr(import_module(module), kind)
    assert issubclass(found, Exception)
    names = (f"{found.__module__}.{found.__qualname__}", exits._public(name))
    assert name in names, f"it is defined as {names[0]}: explain() would not find it"


def test_every_extra_that_is_advised_exists() -> None:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    assert set(exits._EXTRAS.values()) <= project["optional-dependencies"].keys()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Misconfigured("a sentence"), 2),
        (Halted("a sentence"), 3),
        (WrongModel("a sentence", server="http://127.0.0.1"), 3),
        (TopicMissing("a sentence"), 1),
    ],
)
def test_an_error_of_a_class_below_has_its_exit_status(error: Exception, status: int) -> None:
    assert explain(error) == (status, str(error))


def test_a_model_servers_error_names_it_and_what_to_do() -> None:
    gone = Unavailable("connection refused", server="http://127.0.0.1:9", unsent=True)
    status, words = explain(gone)
    assert status == 1
    assert words is not None
    assert words.startswith("http://127.0.0.1:9: connection refused: check that it runs")
    assert explain(FailedAlone("a sentence", server="http://127.0.0.1:9"))[0] == 1


def test_a_bug_has_no_sentence() -> None:
    assert explain(KeyError("a post's text")) == (1, None)


def test_model_errors_are_explained_whatever_their_class() -> None:
    def below(kind: type[ModelError]) -> list[type[ModelError]]:
        return [kind, *(leaf for sub in kind.__subclasses__() for leaf in below(sub))]

    for kind in below(ModelError):
        assert explain(kind("a sentence", server="http://127.0.0.1"))[1] is not None
