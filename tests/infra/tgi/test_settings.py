"""The server's settings: flags, the API key's sources."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from cyclopts import App, Parameter, ValidationError

from infra.tgi import ServerSettings, StartError
from infra.tgi.settings import connection_limit, read_api_key

_DEFAULTS = ServerSettings()


def _served(
    *, settings: Annotated[ServerSettings, Parameter(name="*")] = _DEFAULTS
) -> ServerSettings:
    return settings


def _parsed(*arguments: str) -> ServerSettings:
    app = App(result_action="return_value")
    app.default(_served)
    found = app(arguments)
    assert isinstance(found, ServerSettings)
    return found


def test_the_key_comes_from_the_environment_where_no_flag_gives_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TGI_API_KEY", "from the environment")
    assert read_api_key(_parsed()) == "from the environment"
    assert read_api_key(_parsed("--api-key", "from a flag")) == "from a flag"


def test_the_key_comes_from_a_file_without_the_line_end(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hush\n", encoding="utf-8")
    assert read_api_key(_parsed("--api-key-file", str(tmp_path / "key"))) == "hush"


def test_without_a_key_there_is_none() -> None:
    assert read_api_key(_parsed()) is None


@pytest.mark.parametrize("key", ["", " "])
def test_an_empty_key_is_refused(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TGI_API_KEY", key)
    with pytest.raises(StartError, match="is empty"):
        read_api_key(_parsed())


def test_two_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="not both"):
        read_api_key(ServerSettings(api_key="a", api_key_file=tmp_path))


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff"])
def test_a_file_without_a_key_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """Serving without a key, or with an empty one, would be open to all."""
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StartError, match="API key"):
        read_api_key(ServerSettings(api_key_file=file))


def test_origins_may_be_given_several_times() -> None:
    settings = _parsed("--cors-allow-origin", "http://a", "--cors-allow-origin", "http://b")
    assert settings.cors_allow_origin == ("http://a", "http://b")


@pytest.mark.parametrize(
    "flag",
    [
        *("--max-concurrent-requests=0", "--max-input-tokens=0", "--max-total-tokens=-5"),
        *("--max-batch-size=-1", "--max-connections=0", "--threads=-1", "--body-seconds=0"),
        *("--shutdown-seconds=-1", "--idle-seconds=nan", "--max-batch-prefill-tokens=0"),
    ],
)
def test_a_limit_that_would_refuse_everything_is_wrong_usage(flag: str) -> None:
    app = App(result_action="return_value")
    app.default(_served)
    with pytest.raises(ValidationError, match="Must be >"):
        app([flag], exit_on_error=False, print_error=False)


def test_settings_never_show_the_key() -> None:
    assert "hush" not in repr(ServerSettings(api_key="hush"))


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        (ServerSettings(), 512),
        (ServerSettings(max_concurrent_requests=1000), 2000),
        (ServerSettings(max_concurrent_requests=1000, max_connections=3), 3),
    ],
)
def test_there_are_connections_for_more_than_the_permits(
    settings: ServerSettings, limit: int
) -> None:
    assert connection_limit(settings) == limit
