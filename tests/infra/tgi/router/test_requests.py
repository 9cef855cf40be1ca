"""Bodies are read as serde reads them, and the quick way never differs from the strict one."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.tgi.router import request_shapes, requests
from infra.tgi.router.requests import GenerateRequest
from infra.tgi.router.shapes import Anything, Shape
from infra.tgi.router.strict_json import Reader, SerdeError

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON)
def test_any_json_is_read_as_python_reads_it(value: Any) -> None:
    for ascii_only in (True, False):
        body = json.dumps(value, ensure_ascii=ascii_only, indent=1).encode()
        reader = Reader(body)
        assert reader.anything() == value
        assert reader.position == len(body)
        skipping = Reader(body)
        skipping.ignore()
        assert skipping.position == len(body)


@given(st.binary(max_size=60))
def test_no_bytes_are_answered_with_anything_but_a_value_or_a_refusal(body: bytes) -> None:
    shapes: list[Shape] = [request_shapes.GENERATE, request_shapes.CHAT, Anything()]
    for shape in shapes:
        with suppress(SerdeError):
            requests.read(body, shape)


_VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2**32 + 1)
    | st.sampled_from([0.5, 1.0, 0.1, 1e-50, 1e39, -1.5])
    | st.just("text")
    | st.lists(st.just("a") | st.just(1), max_size=3)
    | st.just({"type": "regex", "value": "a"})
)
_PARAMETERS = st.dictionaries(
    st.sampled_from([*request_shapes.PARAMETERS.fields, "unknown"]), _VALUES, max_size=4
)
_REQUESTS = st.fixed_dictionaries(
    {"inputs": st.just("x") | st.just(5)},
    optional={"parameters": _PARAMETERS | st.none(), "stream": st.booleans() | st.none()},
)


@given(_REQUESTS)
def test_the_quick_reader_never_differs_from_the_strict_one(value: dict[str, Any]) -> None:
    body = json.dumps(value).encode()
    quick = requests._quick(body)
    if quick is None:
        return
    strict = requests._as_generate(requests.read(body, request_shapes.COMPAT))
    assert quick == strict


def test_the_usual_request_is_read_the_quick_way() -> None:
    body = (
        b'{"inputs": "a \\"temperature\\": 1", "parameters": {"max_new_tokens": 16, '
        b'"do_sample": false, "return_full_text": false, "stop": ["x"], "temperature": 0.5}}'
    )
    request = requests._quick(body)
    assert isinstance(request, GenerateRequest)
    assert request.parameters.max_new_tokens == 16


def _refusal(body: str, shape: Shape = request_shapes.GENERATE) -> SerdeError:
    with pytest.raises(SerdeError) as caught:
        requests.read(body.encode(), shape)
    return caught.value


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"inputs": "x",}', "trailing comma at line 1 column 16"),
        ('{"inputs" "x"}', "expected `:` at line 1 column 11"),
        ('{"inputs": "x" "y"}', "expected `,` or `}` at line 1 column 16"),
        ("{1: 2}", "key must be a string at line 1 column 2"),
        ('{"inputs": "x\ny"}', "inputs: control character"),
        ('{"inputs": "\\q"}', "inputs: invalid escape"),
        ('{"inputs": "x', "inputs: EOF while parsing a string"),
        ('{"inputs": tru}', "inputs: expected ident"),
        ('{"a": 01}', "invalid number"),
        ('{"a": -}', "invalid number"),
        ('{"a": 1.}', "invalid number"),
        ('{"a": 1e400}', "number out of range"),
        ('{"a": [1, ]}', "trailing comma"),
        ('{"a": [1 2]}', "expected `,` or `]`"),
        ('{"a": [', "EOF while parsing a list"),
        ('{"inputs": "x", "parameters": {"temperature": Infinity}}', "expected value"),
    ],
)
def test_bad_json_is_told_from_a_wrong_shape(body: str, words: str) -> None:
    error = _refusal(body)
    assert error.syntax
    assert words in str(error)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("5", "invalid type: integer `5`, expected struct GenerateRequest"),
        ("null", "invalid type: null, expected struct GenerateRequest"),
        ("[]", "invalid length 0, expected struct GenerateRequest with 2 elements"),
        ('{"inputs": 5, ', "inputs: invalid type: integer `5`, expected a string"),
        ('{"inputs": true}', "invalid type: boolean `true`, expected a string"),
        ('{"inputs": {}}', "invalid type: map, expected a string"),
        ('{"inputs": 1.5}', "invalid type: floating point `1.5`, expected a string"),
        ('{"parameters": {"stop": ["a", 1]}}', "parameters.stop[1]: invalid type: integer `1`"),
        ('{"parameters": {"top_k": 2147483648}}', "invalid value: integer `2147483648`"),
        ('{"parameters": {"top_n_tokens": -1}}', "integer `-1`, expected u32"),
        ('{"parameters": {"temperature": "1"}}', 'invalid type: string "1", expected f32'),
        ('{"parameters": {"do_sample": 1}}', "integer `1`, expected a boolean"),
        ('{"parameters": {"grammar": "x"}}', "expected adjacently tagged enum GrammarType"),
        ('{"parameters": {"grammar": {"type": "regex"}}}', "missing field `value`"),
        ('{"parameters": {"grammar": {"value": "x"}}}', "missing field `type`"),
        ('{"parameters": {"grammar": {"type": "regex", "value": 1}}}', "expected a string"),
        ('{"parameters": {"seed": 1, "seed": 2}}', "parameters: duplicate field `seed`"),
    ],
)
def test_a_wrong_shape_is_told_in_serdes_words(body: str, words: str) -> None:
    error = _refusal(body)
    assert not error.syntax
    assert words in str(error)


@pytest.mark.parametrize(
    "body",
    [
        '["x"]',  # serde takes an array of the fields in order
        '{"inputs": "x", "parameters": []}',
        '{"inputs": "x", "parameters": {"temperature": 1}}',
        '{"inputs": "x", "parameters": {"grammar": null, "max_new_tokens": null}}',
        '{"inputs": "x", "other": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"inputs": "\\ud83d\\ude00"}',
        ' \n\t{"inputs": "x"} and more',
    ],
)
def test_what_serde_takes_is_taken(body: str) -> None:
    assert requests.generate_request(body.encode()).inputs in {"x", "😀"}


def test_parameters_left_out_mean_sampling_and_empty_ones_do_not() -> None:
    assert requests.generate_request(b'{"inputs": "x"}').parameters.do_sample
    assert not requests.generate_request(b'{"inputs": "x", "parameters": {}}').parameters.do_sample


def test_a_number_is_rounded_to_32_bits_before_it_is_checked() -> None:
    body = b'{"inputs": "x", "parameters": {"temperature": 1e-50}}'
    assert requests.generate_request(body).parameters.temperature == 0.0


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
    assert not _refusal(f'{{"messages": {messages}}}', request_shapes.CHAT).syntax
