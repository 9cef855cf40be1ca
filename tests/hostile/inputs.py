"""Records as nobody should write them, of eleven kinds."""

import json
from collections.abc import Callable
from typing import Any

import msgspec

from tests.hostile.draws import Draws, mark
from tests.hostile.texts import text

DEPTHS = (2, 30, 500, 900, 1_100, 5_000, 12_000, 20_000, 100_000)
"""Python 3.11 goes 1,000 deep, 3.13 goes 10,000."""
NUMBERS = (
    *(
        "0",
        "-0",
        "1e999",
        "-1e999",
        "1e-999",
        "0.1",
        "1E400",
        "01",
        "+1",
        "1.",
        ".5",
        "NaN",
        "Infinity",
    ),
    *("9" * 19, "9" * 20, "9" * 40, "9" * 309, "9" * 4_400, "1" + "0" * 5_000, "-" + "9" * 25),
    *("1700000000", "1700000000000", "1e14", "-62135596801", "253402300800", "2e11", "true"),
)
TIMES = (
    *("2026-01-31T08:15:30Z", "2026-01-31T08:15:30", "0001-01-01T00:00:00+14:00", "now", ""),
    *("9999-12-31T23:59:59-23:59", "2026-13-45T99:00:00Z", "1700000000", "1e400", "nan", "-inf"),
    *("Sat Jan 31 08:15:30 +0000 2026", "2026-W05-6", "20260131T081530Z", "2026-01-31T24:00:00Z"),
    *("2026-01-31T08:15:30+01:02:03", "١٧٠٠٠٠٠٠٠٠", "2026-06-30T23:59:60Z"),
)
BROKEN = (
    b"\xff",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
    b"\x80",
    b"\xfe\xff",
)
ESCAPES = (
    rb"\ud83d",
    rb"\udc00\ud800",
    rb"\ud83d\ud83d",
    rb"\u00",
    rb"\x41",
    rb"\u0000",
    rb"\uffff",
)


TWEET = "another service's document"
"""The kind of input that is at home under a mapping."""


class Input(msgspec.Struct, frozen=True):
    """One record, and what must not leave it."""

    kind: str
    value: bytes | None
    mark: str
    """Stands in every text of it: no dead letter's message may hold it."""
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int = 1_700_000_000_000


def json_value(draws: Draws, mark: str, depth: int = 0) -> Any:
    """Any JSON, not deep."""
    how = draws.number(0, 9 if depth < 4 else 5)
    if how < 2:
        return draws.one((None, True, False, 0, -1, 0.5, 10**30, "", [], {}))
    if how == 2:
        return draws.number(-(2**70), 2**70)
    if how < 6:
        return text(draws, mark)
    inner = [json_value(draws, mark, depth + 1) for _ in range(draws.number(0, 3))]
    if how < 8:
        return inner
    return {draws.one(("a", "0", "", mark, draws.chars(4))): one for one in inner}


def post(draws: Draws, mark: str) -> dict[str, Any]:
    """A post as the contract has it, with odd words."""
    made: dict[str, Any] = {"id": text(draws, mark), "text": text(draws, mark)}
    if draws.number(0, 1):
        made["source"] = draws.one(("mastodon", "x", "", mark))
        made["author"] = f"{mark}@" + draws.one(("a.example", "b", "\u202e"))
        made["lang"] = draws.one(("en", "de-CH", "", "\x00", mark))
    if draws.number(0, 1):
        made["topics"] = [text(draws) for _ in range(draws.number(0, 2))]
        made["url"] = f"https://a.example/{mark}"
        made["meta"] = {mark: json_value(draws, mark)}
        made["created_at"] = draws.one(TIMES[:2] + TIMES[3:4] + TIMES[5:6])
    return made


def tweet(draws: Draws, mark: str) -> dict[str, Any]:
    """A document of another service, for a mapping; parts of it of any type, or missing."""
    status: dict[str, Any] = {
        "id_str": draws.one(("1", "1", "", 7, None, mark, 10**30)),
        "full_text": text(draws, mark),
        "user": draws.one(({"screen_name": mark}, {"screen_name": 5}, None, [], mark)),
        "created_at": draws.one((*TIMES, draws.number(-(10**18), 10**18), 1e300, 0.25, -5e-324)),
        "lang": draws.one(("en", None, 5, {})),
        "entities": draws.one(
            ({"hashtags": [{"text": mark}, 5, None]}, {"hashtags": "a"}, [], None)
        ),
        "place": json_value(draws, mark),
    }
    for _ in range(draws.one((0, 0, 0, 1, 2))):
        status.pop(draws.one(tuple(status)))
    shape = draws.number(0, 3)
    if shape == 0:
        return {"payload": {"status": status}}
    return {
        "payload.status" if shape == 1 else "x": status,
        "payload": {"status": status},
        **status,
    }


def encode(value: Any, draws: Draws) -> bytes:
    """As one producer or another writes it: with escapes, or as UTF-8."""
    if draws.number(0, 1):
        return json.dumps(value).encode()
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _post(draws: Draws, mark: str) -> bytes:
    return encode(post(draws, mark), draws)


def _tweet(draws: Draws, mark: str) -> bytes:
    return encode(tweet(draws, mark), draws)


def _wrong_types(draws: Draws, mark: str) -> bytes:
    """One or two fields of another type, null, or absent; one more; one twice."""
    made = post(draws, mark)
    for _ in range(draws.number(1, 2)):
        name = draws.one(("id", "text", *made))
        how = draws.number(0, 2)
        if how == 0:
            made.pop(name, None)
        else:
            made[name] = None if how == 1 else json_value(draws, mark)
    made[draws.one(("created_at", "x", "Text", mark))] = draws.one(TIMES)
    whole = encode(made, draws)
    if draws.number(0, 1):
        whole = whole[:-1] + b', "text": ' + encode(json_value(draws, mark), draws) + b"}"
    return whole


def _huge_numbers(draws: Draws, mark: str) -> bytes:
    """Numbers that no double, no 64 bits and no calendar holds."""
    number = draws.one(NUMBERS).encode()
    place = draws.one(("id", "text", "created_at", "meta", "topics", "x"))
    value = {"meta": b'{"a": %s}', "topics": b"[%s]"}.get(place, b"%s") % number
    marked = mark.encode()
    return b'{"id": "%s", "text": "%s", "%s": %s}' % (marked, marked, place.encode(), value)


def _deep(draws: Draws, mark: str) -> bytes:
    """Nested so deep that a recursive reader or writer overflows."""
    depth = draws.one((*DEPTHS, draws.number(1, 3_000)))
    nests = ((b"[", b"]"), (b"[", b""), (b"[", b""), (b'{"a":', b"}"), (b'[{"b":', b"}]"))
    opened, closed = draws.one(nests)
    nest = opened * depth + draws.one((b"1", b'"x"', b"", b"{}")) + closed * depth
    place = draws.one((b'"meta": {"a": %s}', b'"x": %s', b'"topics": %s', b'"text": %s'))
    return b'{"id": "1", "text": "' + mark.encode() + b'", ' + place % nest + b"}"


def _mangled(draws: Draws, mark: str) -> bytes:
    """A post of which bytes were changed, cut out, doubled or put in."""
    data = draws.one((_post, _tweet))(draws, mark)
    for _ in range(draws.number(1, 4)):
        at = draws.number(0, len(data))
        to = min(len(data), at + draws.number(0, 9))
        other = draws.one(
            (b"", data[at:to] * 2, b'"', b"{", b"]", b",", b"\\", *BROKEN, *ESCAPES, draws.blob(3))
        )
        data = data[:at] + other + data[to:]
    return data[: draws.number(0, len(data))] if draws.number(0, 4) == 0 else data


def _not_unicode(draws: Draws, mark: str) -> bytes:
    """Text in which some of it is no UTF-8, or half of a surrogate pair."""
    data = _post(draws, mark)
    at = data.find(mark.encode()) + draws.number(0, len(mark))
    other = draws.one((*BROKEN, *ESCAPES))
    whole = data[:at] + other + data[at:]
    return draws.one((whole, whole, data.decode().encode("utf-16"), b"\xef\xbb\xbf" + data))


def _too_long(draws: Draws, mark: str) -> bytes:
    """Around the limit on a record's bytes, and far over it."""
    size = draws.one((19_900, 20_000, 20_001, 60_000, draws.number(18_000, 21_000)))
    unit = draws.one(("a", "ab ", "今", "😂", "\u0301", "A1", "\u200b", "Human: ", "< "))
    made = {"id": "1", "text": f"{mark} {unit * (size // len(unit.encode()))}"}
    return json.dumps(made, ensure_ascii=False).encode()


def _any_json(draws: Draws, mark: str) -> bytes:
    return encode(json_value(draws, mark), draws)


def _any_bytes(draws: Draws, _mark: str) -> bytes:
    return draws.blob(60)


def _nothing(draws: Draws, _mark: str) -> bytes | None:
    return draws.one((None, b"", b" ", b"null", b"\x00"))


_KINDS: dict[str, tuple[int, Callable[[Draws, str], bytes | None]]] = {
    "a post": (8, _post),
    TWEET: (5, _tweet),
    "wrong types, null, absent": (3, _wrong_types),
    "bytes changed or cut": (4, _mangled),
    "no UTF-8, half surrogates": (2, _not_unicode),
    "huge numbers": (1, _huge_numbers),
    "nested deep": (1, _deep),
    "too long": (1, _too_long),
    "any JSON": (1, _any_json),
    "any bytes": (1, _any_bytes),
    "nothing": (1, _nothing),
}
"""By name: how often, and how it is made."""
KINDS = tuple(_KINDS)
_LOT = tuple(name for name, (weight, _) in _KINDS.items() for _ in range(weight))
_KEYS = (None, None, b"", b"k", b"\xff\xfe", b"caf\xe9", "schlüssel\u202e".encode(), b"\x00" * 300)
_HEADERS: tuple[tuple[tuple[str, bytes | None], ...], ...] = (
    (),
    (),
    (("traceparent", b"00-1"), ("tracestate", None)),
    (("__emostream.errors.topic", b"\xff"), ("__emostream.errors.offset", b"-1"), ("", None)),
    (("__emostream.replays", b"9" * 5_000), ("ce_id", b"forged"), ("ce_id", b"\x00\xff")),
    (("x" * 2_000, b"\xff" * 300), ("\\xff", b""), ("\u202e", b"v")),
)
_DAY = 1_700_000_000_000
_TIMESTAMPS = (_DAY, _DAY, _DAY, -1, 0, 1, 10**11, 2**53, 2**62, -(2**60))


def draw_input(draws: Draws) -> Input:
    """One record of any kind."""
    kind, marked = draws.one(_LOT), mark(draws)
    return Input(
        kind=kind,
        value=_KINDS[kind][1](draws, marked),
        mark=marked,
        key=draws.one(_KEYS),
        headers=draws.one(_HEADERS),
        timestamp_ms=draws.one(_TIMESTAMPS),
    )
