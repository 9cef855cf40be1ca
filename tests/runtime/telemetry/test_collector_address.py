"""Where spans go, and with what: refused before it is asked, in words that name no secret."""

import pytest

from runtime.telemetry.collector import (
    read_headers,
    refuse_plain_headers,
    traces_url,
    variables_headers,
)


@pytest.mark.parametrize(
    "endpoint",
    [
        *("http://c:4318", "http://c:4318/", "http://c:4318/v1/traces", "http://c:4318/v1/traces/"),
    ],
)
def test_a_base_url_and_the_path_itself_mean_the_same(endpoint: str) -> None:
    assert traces_url(endpoint) == "http://c:4318/v1/traces"


def test_a_path_before_it_is_kept() -> None:
    assert traces_url("https://c/otlp") == "https://c/otlp/v1/traces"


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("collector:4318", "must be a URL"),
        ("grpc://c:4317", "must be a URL"),
        ("http://:4318", "must be a URL"),
        ("http://c:x", "must be a URL"),
        ("http://[::1", "must be a URL"),
        ("http://u:sekrit@c", "carries credentials"),
        ("http://c/v1/traces?key=sekrit", "ends at its path"),
    ],
)
def test_what_is_no_collectors_url_is_refused(endpoint: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as error:
        traces_url(endpoint)
    assert "sekrit" not in str(error.value)


def test_headers_are_read_as_opentelemetrys_variables_have_them() -> None:
    assert read_headers(" Authorization=Bearer%20a=b , x-key=1%2C2,, ") == {
        "authorization": "Bearer a=b",
        "x-key": "1,2",
    }
    assert read_headers("") == {}


@pytest.mark.parametrize(
    "text", ["sekrit", "=sekrit", "a b=sekrit", "x=sekrit%0d%0a", "x=sekrit\u00e9"]
)
def test_headers_that_no_request_can_carry_are_refused_without_their_value(text: str) -> None:
    with pytest.raises(ValueError, match="headers") as error:
        read_headers(text)
    assert "sekrit" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["https://far", "http://localhost", "http://127.0.0.1:1", "http://[::1]"]
)
def test_headers_go_encrypted_or_to_this_machine(url: str) -> None:
    refuse_plain_headers(url, allowed=False)


def test_headers_go_to_another_machine_in_the_clear_only_where_it_is_allowed() -> None:
    with pytest.raises(ValueError, match="https:// endpoint, or set allow_plain_headers"):
        refuse_plain_headers("http://far:4318", allowed=False)
    refuse_plain_headers("http://far:4318", allowed=True)


def test_the_variable_for_traces_wins_over_the_one_for_everything() -> None:
    both = {"OTEL_EXPORTER_OTLP_HEADERS": "a=1", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a=2"}
    assert variables_headers(both) == "a=2"
    assert variables_headers({"OTEL_EXPORTER_OTLP_HEADERS": "a=1"}) == "a=1"
    assert not variables_headers({})
