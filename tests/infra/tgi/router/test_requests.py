"""A body is read as TGI reads it, as far as a client can tell: 200, 400 or 422."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.tgi.router import requests
from infra.tgi.router.requests import BodyError, ChatRequest, CompatRequest, CompletionRequest

_READERS = [
    requests.generate_request,
    requests.compat_request,
    requests.completion_request,
    requests.chat_request,
    requests.invocation_request,
    requests.vertex_request,
]


@given(st.binary(max_size=60))
def test_no_bytes_are_answered_with_anything_but_a_request_or_a_refusal(body: bytes) -> None:
    for read in _READERS:
        with suppress(BodyError):
            read(body)


_VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2**64 + 1)
    | st.sampled_from([0.5, 1.0, 1e-50, 1e39, -1.5])
    | st.just("text")
    | st.lists(st.just("a") | st.just(1), max_size=3)
    | st.just({"type": "regex", "value": "a"})
)
_PARAMETERS = st.dictionaries(
    st.sampled_from([*requests.Parameters.__struct_fields__, "unknown"]), _VALUES, max_size=4
)


@given(_PARAMETERS)
def test_json_of_any_types_is_read_or_refused_as_a_wrong_type(parameters: dict[str, Any]) -> None:
    """Never as bad JSON (400), which it isn't; and what is read is what was sent."""
    body = json.dumps({"inputs": "x", "parameters": parameters}).encode()
    read: dict[str, Any] = {}
    status = 200
    try:
        read = msgspec.structs.asdict(requests.generate_request(body).parameters)
    except BodyError as error:
        status = error.status
    assert status in {200, 422}
    for name in read.keys() & parameters.keys() - {"grammar"}:
        sent = parameters[name]
        assert read[name] == (float(sent) if isinstance(read[name], float) else sent)


def _refusal(body: str | bytes) -> BodyError:
    with pytest.raises(BodyError) as caught:
        requests.generate_request(body.encode() if isinstance(body, str) else body)
    return caught.value


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        '{"inputs": "x",}',
        '{"inputs" "x"}',
        "{1: 2}",
        '{"inputs": "x\ny"}',
        '{"inputs": "\\q"}',
        '{"inputs": "\\ud800"}',
        b'{"inputs": "\xff"}',
        '{"inputs": "x", "parameters": {"temperature": Infinity}}',
    ],
)
def test_bad_json_is_refused_with_400(body: str | bytes) -> None:
    error = _refusal(body)
    assert error.status == 400
    assert str(error).startswith("Failed to parse the request body as JSON: ")


@pytest.mark.parametrize(
    "body",
    [
        "5",
        "null",
        "{}",
        '{"inputs": 5, ',  # the wrong type comes before the end that is missing
        '{"inputs": true}',
        '{"inputs": "x", "parameters": {"stop": ["a", 1]}}',
        '{"inputs": "x", "parameters": {"top_k": 2147483648}}',
        '{"inputs": "x", "parameters": {"top_n_tokens": -1}}',
        '{"inputs": "x", "parameters": {"temperature": "1"}}',
        '{"inputs": "x", "parameters": {"do_sample": 1}}',
        '{"inputs": "x", "parameters": {"best_of": 18446744073709551616}}',
        '{"inputs": "x", "parameters": {"grammar": "x"}}',
        '{"inputs": "x", "parameters": {"grammar": {"type": "regex"}}}',
        '{"inputs": "x", "parameters": {"grammar": {"value": "x"}}}',
        '{"inputs": "x", "parameters": {"grammar": {"type": "regex", "value": 1}}}',
        '{"inputs": "x", "parameters": {"grammar": {"type": "json_schema", "value": {}}}}',
        '{"inputs": "x", "parameters": {"grammar": ' + '{"a":' * 5000 + "1" + "}" * 5001 + "}",
    ],
    ids=lambda body: body[:60],
)
def test_a_wrong_type_is_refused_with_422(body: str) -> None:
    error = _refusal(body)
    assert error.status == 422
    assert str(error).startswith("Failed to deserialize the JSON body into the target type: ")


def test_a_refusal_names_the_place() -> None:
    assert "$.parameters.stop[1]" in str(
        _refusal('{"inputs": "x", "parameters": {"stop": ["a", 1]}}')
    )


@pytest.mark.parametrize(
    "body",
    [
        '{"inputs": "x", "parameters": {"temperature": 1}}',
        '{"inputs": "x", "parameters": {"grammar": null, "max_new_tokens": null}}',
        '{"inputs": "x", "other": ' + "[" * 200 + "]" * 200 + "}",
        ' \n\t{"inputs": "x"}\n',
    ],
)
def test_what_tgi_takes_is_taken(body: str) -> None:
    assert requests.generate_request(body.encode()).inputs == "x"


def test_parameters_left_out_mean_sampling_and_empty_ones_do_not() -> None:
    assert requests.generate_request(b'{"inputs": "x"}').parameters.do_sample
    assert not requests.generate_request(b'{"inputs": "x", "parameters": {}}').parameters.do_sample


@pytest.mark.parametrize(
    ("grammar", "schema"),
    [
        ('{"type": "json", "value": {"a": 1}}', {"a": 1}),
        ('{"type": "json_object", "value": {"a": 1}}', {"a": 1}),
        ('{"type": "json_schema", "value": {"name": "n", "schema": {"a": 1}}}', {"a": 1}),
    ],
)
def test_a_schema_is_found_under_each_of_its_names(grammar: str, schema: object) -> None:
    body = f'{{"inputs": "x", "parameters": {{"grammar": {grammar}}}}}'.encode()
    found = requests.generate_request(body).parameters.grammar
    assert isinstance(found, requests.JsonGrammar | requests.JsonSchemaGrammar)
    assert found.schema == schema


@pytest.mark.parametrize(
    "messages",
    [
        '[{"role": "user", "content": "x"}]',
        '[{"role": "user", "content": [{"type": "text", "text": "x"}]}]',
        '[{"role": "assistant", "tool_calls": []}]',
        "[]",
    ],
)
def test_a_chat_of_any_valid_form_is_read(messages: str) -> None:
    requests.chat_request(f'{{"messages": {messages}}}'.encode())


@pytest.mark.parametrize("messages", ['"x"', '[{"content": "x"}]', '[{"role": "user"}]'])
def test_a_chat_of_another_form_is_refused(messages: str) -> None:
    with pytest.raises(BodyError) as caught:
        requests.chat_request(f'{{"messages": {messages}}}'.encode())
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"inputs": "x", "stream": true}', CompatRequest),
        (b'{"messages": []}', ChatRequest),
        (b'{"prompt": "x"}', CompletionRequest),
    ],
)
def test_an_invocation_is_whichever_request_it_fits(body: bytes, kind: type) -> None:
    assert type(requests.invocation_request(body)) is kind


@pytest.mark.parametrize(("body", "status"), [(b"{}", 422), (b"{", 400)])
def test_an_invocation_that_fits_none_is_refused(body: bytes, status: int) -> None:
    with pytest.raises(BodyError) as caught:
        requests.invocation_request(body)
    assert caught.value.status == status


def test_a_vertex_instance_keeps_only_the_parameters_that_tgi_keeps() -> None:
    body = (
        b'{"instances": [{"inputs": "x", "parameters": {"seed": 3, "top_k": 5}}, {"inputs": "y"}]}'
    )
    first, second = requests.vertex_request(body)
    assert not isinstance(first, ChatRequest)
    assert not isinstance(second, ChatRequest)
    assert (first.parameters.seed, first.parameters.top_k) == (3, None)
    assert (first.parameters.max_new_tokens, second.parameters.max_new_tokens) == (100, None)
