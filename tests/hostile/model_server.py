"""A model server that sends raw bytes, in a process of its own: mostly right, often hostile.

`python -m tests.hostile.model_server` prints its URL and serves until it is killed. A prompt's hash
decides what it gets, so the same prompt gets the same. Some replies are wrong every time (an
anomaly, a refusal that quotes the post), some only the first time (what is not HTTP, a cut answer,
a closed connection): a client that tries again gets the right answer then.
"""

import asyncio
import hashlib
import random
import re
from collections import Counter

import msgspec

from bench.model.answers import right_answer
from tests.hostile.draws import RandomDraws
from tests.hostile.replies import ANOMALIES, answer
from tests.raw_http import Connection, RawServer, Request
from tests.tgi import varied

MODEL, REVISION = "emostream-small", "hostile"
_INFO = msgspec.json.encode(
    {
        "model_id": MODEL,
        "model_sha": REVISION,
        "max_concurrent_requests": 64,
        "max_input_tokens": 1024,
        "max_total_tokens": 1088,
        "version": "3.3.6",
    }
)
_MARK = re.compile("qzxj[a-z]{12}")
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def _whole(body: bytes, head: bytes = _OK) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _chunked(body: bytes) -> bytes:
    half = len(body) // 2
    pieces = b"".join(
        b"%x\r\n%b\r\n" % (len(one), one) for one in (body[:half], body[half:]) if one
    )
    return _OK + b"Transfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n"


def _first(right: bytes) -> dict[str, bytes | None]:
    """What the first try of some prompts gets. None: the connection is closed without a byte."""
    error = b'{"error":"injected","error_type":"x"}'
    return {
        "hang-up": None,
        "half an answer": _whole(right)[:-5],
        "half a head": _OK[:30],
        "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
        "any bytes": bytes(range(256)),
        "garbage with 200": _whole(b"\x00\xff{]" * 9),
        "a page with 200": _whole(
            b"<html>Hotel</html>", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
        ),
        "deep JSON with 200": _whole(b"[" * 100_000),
        "null with 200": _whole(b'{"generated_text":null}'),
        "a surrogate with 200": _whole(b'{"generated_text":"\\ud800"}'),
        "a length of a petabyte": _OK + b"Content-Length: 999999999999999\r\n\r\n{",
        "a head of 100 kB": _whole(b"{}", _OK + b"X: " + b"a" * 100_000 + b"\r\n"),
        "a negative length": _OK + b"Content-Length: -1\r\n\r\n" + right,
        "two lengths": _OK + b"Content-Length: 2\r\nContent-Length: 900\r\n\r\n" + right,
        "429": _whole(error, b"HTTP/1.1 429 Too Many\r\n"),
        "424": _whole(error, b"HTTP/1.1 424 Failed\r\n"),
        "500": _whole(error, b"HTTP/1.1 500 Oh\r\n"),
        "503": _whole(b"", b"HTTP/1.1 503 No\r\n"),
        "status 999": _whole(right, b"HTTP/1.1 999 What\r\n"),
    }


def _odd(right: bytes) -> dict[str, bytes]:
    """Right answers in unusual forms: they count."""
    return {
        "chunked": _chunked(right),
        "after 100 Continue": b"HTTP/1.1 100 Continue\r\n\r\n" + _whole(right),
        "closed at the end": b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + right,
        "and one more": _whole(right) + _whole(b'{"generated_text":"0.123"}'),
        "and some bytes": _whole(right) + b"\x00\xff",
        "a folded type": _whole(
            right, b"HTTP/1.1 200 OK\r\nCONTENT-TYPE: Application/JSON; x=y\r\n"
        ),
    }


class Replies:
    """What each prompt gets, and how often each kind of reply was sent."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._failed: set[bytes] = set()

    def reply(self, prompt: str) -> bytes | None:
        """The bytes of a reply; None closes the connection."""
        digest = hashlib.blake2b(prompt.encode(), digest_size=16).digest()
        share, post = _share(digest), _share_of_post(prompt)
        right = msgspec.json.encode({"generated_text": varied(prompt)})
        if post < 0.03:  # whatever is asked about it
            share = 0.96 if post < 0.015 else 0.9 if post < 0.0298 else 0.96995
        elif share < 0.84 or right_answer(prompt):
            return self._count("right", _whole(right))
        rng = random.Random(digest)
        if share < 0.97:
            return self._always(share, prompt, right, rng)
        if digest in self._failed:
            return self._count("right, at the second try", _whole(right))
        self._failed.add(digest)
        name, first = rng.choice(list(_first(right).items()))
        return self._count(f"first try: {name}", first)

    def _always(self, share: float, prompt: str, right: bytes, rng: random.Random) -> bytes | None:
        if share < 0.87:
            name, odd = rng.choice(list(_odd(right).items()))
            return self._count(f"right, {name}", odd)
        if share < 0.95:
            text = rng.choice(ANOMALIES) if share == 0.9 else answer(RandomDraws(rng))
            return self._count("any answer", _whole(msgspec.json.encode({"generated_text": text})))
        if share < 0.9699:
            return self._count("refused, quoting", _refusal(prompt, rng))
        return self._count("424 every time", _whole(b"{}", b"HTTP/1.1 424 Failed\r\n"))

    def _count(self, name: str, data: bytes | None) -> bytes | None:
        self.counts[name] += 1
        return data


def _share(digest: bytes) -> float:
    return int.from_bytes(digest[:4], "big") / 2**32


def _share_of_post(prompt: str) -> float:
    """The same for all prompts of a post that has a mark; else 1."""
    found = _MARK.search(prompt)
    return 1.0 if found is None else _share(hashlib.blake2b(found[0].encode()).digest())


def _refusal(prompt: str, rng: random.Random) -> bytes:
    begin = rng.randrange(len(prompt))
    words = f"Input validation error: cannot take {prompt[begin : begin + 80]!r} here"
    body = msgspec.json.encode({"error": words, "error_type": "validation"})
    status = rng.choice((b"422 Unprocessable", b"400 Bad", b"413 Large"))
    return _whole(body, b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n" % status)


async def _respond(replies: Replies, request: Request, connection: Connection) -> None:
    if request.path == "/generate":
        reply = replies.reply(msgspec.json.decode(request.body)["inputs"])
    elif request.path == "/info":
        reply = _whole(_INFO)
    elif request.path == "/replies":
        reply = _whole(msgspec.json.encode(replies.counts))
    else:
        reply = _whole(b"")
    if reply is None:
        connection.abort()
        return
    await connection.write(reply)
    # Cut off in the middle, or with no length: only closing ends it.
    if reply.startswith(b"HTTP/1.0") or _cut(reply):
        connection.close()


def _cut(reply: bytes) -> bool:
    head, gap, rest = reply.partition(b"\r\n\r\n")
    lengths = re.findall(rb"\r\nContent-Length: (-?\d+)", head)
    if not gap or len(lengths) > 1 or b"-1" in lengths:
        return True
    return bool(lengths) and len(rest) != int(lengths[0])


async def main() -> None:
    """Serve on a free port of 127.0.0.1 and print the URL, until killed."""
    replies = Replies()

    async def behave(request: Request, connection: Connection) -> None:
        await _respond(replies, request, connection)

    async with RawServer(behave, keep=0) as server:
        print(server.url, flush=True)  # noqa: T201 - tells the parent
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
