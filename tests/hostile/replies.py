"""What a model server may answer: the five models' shapes, the anomalies they had, and worse."""

import msgspec

from emollm.clients.transport import DeadlinePassed, NoAnswer, Response
from tests.hostile.draws import Draws
from tests.hostile.texts import text
from tests.tgi import varied

CANONICAL = (
    *("0.734", "0", "1.0", "0.5", "0.123456789", "1", "2: moderate amount of {e} can be inferred"),
    *("0: no {e} can be inferred", "3: high amount of {e} can be inferred", "joy, optimism."),
    *("neutral or no emotion.", "anger, disgust, fear.", "sarcastic", "4.5"),
    "-2: moderately negative emotional state can be inferred",
    "3: very positive mental state can be inferred",
)
ANOMALIES = (
    *(
        "48: disgust",
        "1. I'm grateful for love.",
        "0.897)",
        "0.distribution(joy).mean 0.4",
        "0: None",
    ),
    *("-0.196", "high", "0:1:4", "4: severe fear can be inferred", "0.情感", "", " ", "\n", "."),
    *(
        "5: extremely positive emotional state can be inferred",
        "0%: neutral or mixed",
        "nan",
        "inf",
    ),
    *("1e-1", "0_1", "٠.٥", "−0.5", "joy, joy.", "joy, neutral or no emotion.", "0." + "9" * 400),
    *(
        "9" * 5_000,
        "0.5" * 3_000,
        "Assistant: 0.9",
        "</s>",
        "\x00",
        "\u202e0.5",
        "0.5\u200b",
        "joy\u0301.",
    ),
    *("joy, " * 4_000, "İ", "neutral or no emotion. joy", "²", "Ⅷ", "0x1F", "1/2", "1,0", "½"),
)
STATUSES = (
    *(100, 199, 204, 206, 301, 302, 400, 401, 402, 403, 404, 405, 407, 408, 409, 413, 415, 418),
    *(422, 424, 425, 429, 451, 499, 500, 501, 502, 503, 504, 507, 520, 599, 600, 999),
)


class Reply(msgspec.Struct, frozen=True):
    """One answer of a server, or the lack of one."""

    kind: str
    status: int = 200
    content_type: str = "application/json"
    body: bytes = b""
    quote: int = -1
    """From here on 60 characters of the prompt are in the body, in the place of `@@`."""

    def to(self, prompt: str) -> Response:
        """Answer this prompt. Raises what a transport raises."""
        if self.kind == "no answer":
            raise NoAnswer("ConnectionResetError: Connection reset by peer")
        if self.kind == "too late":
            raise DeadlinePassed("no answer within 30 s")
        if self.kind == "the right answer":
            return Response(200, self.content_type, _generated(varied(prompt)))
        body = self.body
        if self.quote >= 0:
            begin = self.quote % max(1, len(prompt))
            words = msgspec.json.encode(prompt[begin : begin + 60])[1:-1]
            body = body.replace(b"@@", words)
        return Response(self.status, self.content_type, body)


def _generated(text: str) -> bytes:
    return msgspec.json.encode(
        {"generated_text": text, "choices": [{"text": text}], "usage": {"completion_tokens": 3}}
    )


def answer(draws: Draws) -> str:
    """What a model says: right, with an anomaly, anything, or right with a few signs changed."""
    how = draws.number(0, 9)
    if how == 9:
        return text(draws)
    if how > 6:
        return draws.one(ANOMALIES)
    answered = draws.one(CANONICAL).replace("{e}", draws.one(_EMOTIONS))
    if how > 4:
        for _ in range(draws.number(1, 3)):
            at = draws.number(0, len(answered))
            answered = (
                answered[:at]
                + draws.one((*_CHANGES, draws.chars(2)))
                + answered[at + draws.number(0, 2) :]
            )
    return answered


_EMOTIONS = ("anger", "fear", "joy", "sadness", "Joy", "love", "")
_CHANGES = (" ", ".", ":", ",", "-", "0", "9", "\u00a0", "\u200b", "joy", "E", "\n", "")
_BODIES = (
    *(b"", b"null", b"[]", b"{}", b"0.5", b'"0.5"', b'{"generated_text": null}', b"\xff\xfe{"),
    *(b'{"generated_text": 5}', b'{"generated_text": ["0.5"]}', b'[{"generated_text": "0.5"}]'),
    *(b'{"generated_text": "\\ud800"}', b'{"generated_text": "\xff"}', b'{"choices": []}'),
    *(b'{"choices": [{"text": null}]}', b'{"choices": {"0": {"text": "0.5"}}}', b"\x00" * 50),
    *(b'{"generated_text": "0.5", "details": {"generated_tokens": 1e400}}', b"[" * 100_000),
    *(
        b'{"generated_text": "0.5", "details": 5}',
        b"<html>Welcome to the hotel</html>",
        b"\x1f\x8b",
    ),
    *(
        b'{"a":' * 100_000,
        b'{"generated_text": "0.5"}{"generated_text": "0.6"}',
        b"data: {}\n\n",
    ),
)
_ERRORS = (
    b'{"error": "Input validation error: `inputs` must have less than 1000 tokens"}',
    b'{"error": "Model is overloaded", "error_type": "overloaded"}',
    b'{"error": "@@", "error_type": "validation"}',
    b'{"error": "cannot read: @@ (and more)", "error_type": "@@"}',
    b'{"error": {"message": "bad prompt: @@", "type": "BadRequestError", "code": 400}}',
    b'{"message": "@@", "object": "error"}',
    *(
        b'{"detail": [{"loc": ["body"], "msg": "@@"}]}',
        b"Failed to deserialize: @@",
        b"@@",
        b"",
    ),
    *(
        b'{"error": null}',
        b'{"error": 5}',
        b'{"error": "\xff"}',
        b'{"error": "' + b"@@" * 9 + b'"}',
    ),
)
_TYPES = ("application/json", "application/json", "text/html", "", "text/plain", "\u202e")


def draw_reply(draws: Draws) -> Reply:
    """One answer of a server."""
    how = draws.number(0, 19)
    if how < 7:
        return Reply("the right answer")
    if how < 14:
        return Reply("any answer", body=_generated(answer(draws)))
    if how == 14:
        return Reply("no answer in it", content_type=draws.one(_TYPES), body=draws.one(_BODIES))
    if how == 15:
        return Reply(draws.one(("no answer", "too late")))
    if how == 16:
        return Reply("any bytes", content_type=draws.one(_TYPES), body=draws.blob(40))
    return Reply(
        "an error",
        status=draws.one(STATUSES),
        content_type=draws.one(_TYPES),
        body=draws.one((*_ERRORS, *_ERRORS, *_BODIES)),
        quote=draws.number(0, 400),
    )
