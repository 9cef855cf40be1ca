"""A model server of raw bytes, on a process of its own: mostly right, often wrong or hostile.

`python -m tests.hostile.model_server PORT_FILE`. What a prompt gets hangs on its own hash, so that
the same prompt gets the same. Some are wrong for ever (an anomaly, a refusal that quotes the post),
some only the first time (what is not HTTP, a cut answer, a hang-up): a client that tries again gets
the right answer then.
"""

import asyncio
import hashlib
import random
import re
import sys
from collections import Counter
from pathlib import Path

import msgspec

from tests.e2e.model_server import MOODS
from tests.e2e.model_server import answer as right_answer
from tests.hostile.draws import RandomDraws
from tests.hostile.replies import ANOMALIES, answer

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


def _first(said: bytes) -> dict[str, bytes | None]:
    """What the first try of some prompts gets. None: the connection is cut without a word."""
    error = b'{"error":"injected","error_type":"x"}'
    return {
        "hang-up": None,
        "half an answer": _whole(said)[:-5],
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
        "a negative length": _OK + b"Content-Length: -1\r\n\r\n" + said,
        "two lengths": _OK + b"Content-Length: 2\r\nContent-Length: 900\r\n\r\n" + said,
        "429": _whole(error, b"HTTP/1.1 429 Too Many\r\n"),
        "424": _whole(error, b"HTTP/1.1 424 Failed\r\n"),
        "500": _whole(error, b"HTTP/1.1 500 Oh\r\n"),
        "503": _whole(b"", b"HTTP/1.1 503 No\r\n"),
        "status 999": _whole(said, b"HTTP/1.1 999 What\r\n"),
    }


def _odd(said: bytes) -> dict[str, bytes]:
    """Right answers in unusual forms: they count."""
    return {
        "chunked": _chunked(said),
        "after 100 Continue": b"HTTP/1.1 100 Continue\r\n\r\n" + _whole(said),
        "closed at the end": b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + said,
        "and one more": _whole(said) + _whole(b'{"generated_text":"0.123"}'),
        "and some bytes": _whole(said) + b"\x00\xff",
        "a folded type": _whole(
            said, b"HTTP/1.1 200 OK\r\nCONTENT-TYPE: Application/JSON; x=y\r\n"
        ),
    }


class Server:
    """What it says to whom, and how often."""

    def __init__(self) -> None:
        self.said: Counter[str] = Counter()
        self._failed: set[bytes] = set()

    def reply(self, prompt: str) -> bytes | None:
        """The bytes of an answer; None for a hang-up."""
        digest = hashlib.blake2b(prompt.encode(), digest_size=16).digest()
        share, post = _share(digest), _share_of_post(prompt)
        right = msgspec.json.encode({"generated_text": right_answer(prompt)})
        if post < 0.03:  # whatever is asked about it
            share = 0.96 if post < 0.015 else 0.9 if post < 0.0298 else 0.96995
        elif share < 0.84 or any(text in prompt for text in MOODS):
            return self._say("right", _whole(right))
        rng = random.Random(digest)
        if share < 0.97:
            return self._for_ever(share, prompt, right, rng)
        if digest in self._failed:
            return self._say("right, at the second try", _whole(right))
        self._failed.add(digest)
        name, first = rng.choice(list(_first(right).items()))
        return self._say(f"first try: {name}", first)

    def _for_ever(
        self, share: float, prompt: str, right: bytes, rng: random.Random
    ) -> bytes | None:
        if share < 0.87:
            name, odd = rng.choice(list(_odd(right).items()))
            return self._say(f"right, {name}", odd)
        if share < 0.95:
            said = rng.choice(ANOMALIES) if share == 0.9 else answer(RandomDraws(rng))
            return self._say("any answer", _whole(msgspec.json.encode({"generated_text": said})))
        if share < 0.9699:
            return self._say("refused, quoting", _refusal(prompt, rng))
        return self._say("424 for ever", _whole(b"{}", b"HTTP/1.1 424 Failed\r\n"))

    def _say(self, name: str, data: bytes | None) -> bytes | None:
        self.said[name] += 1
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


class _Connection(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while True:
            head, gap, rest = self._data.partition(b"\r\n\r\n")
            length = _length(head)
            if not gap or len(rest) < length:
                return
            body, self._data = rest[:length], rest[length:]
            self._answer(head.partition(b" HTTP")[0], body)

    def _answer(self, line: bytes, body: bytes) -> None:
        if line == b"POST /generate":
            said = self._server.reply(msgspec.json.decode(body)["inputs"])
        elif line == b"GET /info":
            said = _whole(_INFO)
        elif line == b"GET /said":
            said = _whole(msgspec.json.encode(self._server.said))
        else:
            said = _whole(b"")
        if said is None:
            self._transport.abort()
            return
        self._transport.write(said)
        # Cut off in the middle, or with no length: only closing ends it.
        if said.startswith(b"HTTP/1.0") or _cut(said):
            self._transport.close()


def _cut(said: bytes) -> bool:
    head, gap, rest = said.partition(b"\r\n\r\n")
    if not gap or b"Content-Length: -1" in head or head.count(b"Content-Length") > 1:
        return True
    return b"Content-Length" in head and len(rest) != _length(head)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def main(port_file: Path) -> None:
    """Serve on a free port of 127.0.0.1, which the file is told, until killed."""
    server = Server()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: _Connection(server), "127.0.0.1", 0)
    port = str(listening.sockets[0].getsockname()[1])
    await asyncio.to_thread(port_file.write_text, port)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
