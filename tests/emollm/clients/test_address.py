"""Where a model server is: what is refused, and what is never shown."""

from typing import Any

import pytest

from emollm.clients import ServerOptions


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "gpu:8080"},
        {"url": "ftp://gpu"},
        {"url": "http://"},
        {"url": "http://gpu/?key=s3cret"},
        {"url": "http://gpu", "dialect": "grpc"},
        {"url": "http://gpu", "token": "line\nbreak"},
    ],
)
def test_options_that_cannot_work_are_refused_without_their_secrets(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"model server|dialect|token") as caught:
        ServerOptions(**wrong)
    assert "s3cret" not in str(caught.value)
    assert "line" not in str(caught.value)
