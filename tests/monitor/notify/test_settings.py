"""What is refused, in words that say what to change, and what is never shown."""

from typing import Any

import pytest
from pydantic import ValidationError

from monitor.notify.settings import NotifySettings


def settings(**values: Any) -> NotifySettings:
    return NotifySettings(
        **({"name": "team", "kind": "webhook", "url": "https://x.example"} | values)
    )


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"url": ""}, "name an address"),
        ({"url": "ftp://x.example"}, "http:// or https://"),
        ({"url": "https:///secret"}, "name a host"),
        ({"url": "https://x.example:99999/"}, "name a host"),
        ({"kind": "apprise", "url": "exec:///bin/sh"}, "not among those that tell people"),
        ({"kind": "apprise", "url": "syslog://"}, "not among those that tell people"),
        ({"kind": "alertmanager", "transitions": ["firing", "stale"]}, "must have resolved"),
        ({"secret": "short"}, "openssl rand -base64 32"),
        ({"name": "a b"}, "name"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as error:
        settings(**values)
    assert says in str(error.value)


def test_an_address_is_never_shown(tmp_path: Any) -> None:
    file = tmp_path / "url"
    file.write_text("https://hooks.example/T0/B0/hidden\n")
    made = NotifySettings(name="team", kind="slack", url_file=str(file))
    assert made.urls == ("https://hooks.example/T0/B0/hidden",)
    assert "hidden" not in repr(made)
    with pytest.raises(ValidationError) as error:
        settings(url="gopher://hooks.example/hidden")
    assert "hidden" not in str(error.value)
