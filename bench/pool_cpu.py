"""CPU of the client's side for one prompt: pool + TgiClient + transport against an instant stub.

    python bench/pool_cpu.py [--prompts 20000] [--in-flight 64] [--uvloop] [--bare]

The stub runs in a process of its own, so that only the client's CPU is counted. `--bare` leaves
the pool out: tasks that call the client. One line of JSON on stdout.
"""

import argparse
import asyncio
import json
import logging
import resource
import subprocess
import sys
import time
from typing import cast

import structlog
import uvloop

from emollm.protocol import GenerateParams, Prompt
from emollm.servers import HttpTransport, PoolOptions, ServerOptions, TgiClient, open_pool

INFO = (
    b'{"model_id":"stub","model_sha":null,"max_concurrent_requests":%d,"max_input_tokens":1024,'
    b'"max_total_tokens":2048,"router":"text-generation-router","version":"3.3.6-dev0"}'
)
ANSWER = b'{"generated_text":"joy, optimism."}'
TEXT = (
    "Human: \nTask: Categorize the tweet's emotional tone as either 'neutral or no emotion' or "
    "identify the presence of one or more of the given emotions. Tweet: {} and the sun is out "
    "again over the harbour, what a day. This tweet contains emotions: \n\nAssistant:\n"
)


def _http(body: bytes) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        b"x-compute-type: cpu\r\nx-total-time: 1\r\nx-validation-time: 0\r\nx-queue-time: 0\r\n"
        b"x-inference-time: 1\r\nx-time-per-token: 0\r\nx-prompt-tokens: 60\r\n"
        b"x-generated-tokens: 6\r\ndate: Mon, 23 Nov 2026 00:00:00 GMT\r\n\r\n%b"
        % (len(body), body)
    )


class _Stub(asyncio.Protocol):
    """Answers each request as it comes; good enough for one client that doesn't pipeline."""

    in_flight = 64

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._got = b""

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end:
            return
        lower = head.lower()
        at = lower.find(b"content-length:")
        length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(body) < length:
            return
        self._got = b""
        is_info = head.startswith(b"GET")
        self._transport.write(_http(INFO % (2 * self.in_flight) if is_info else ANSWER))


async def _serve(in_flight: int) -> None:
    _Stub.in_flight = in_flight
    server = await asyncio.get_running_loop().create_server(_Stub, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _through_pool(url: str, prompts: list[Prompt], in_flight: int) -> float:
    pool = await open_pool([ServerOptions(url=url)], PoolOptions(max_concurrency=in_flight))
    try:
        for _ in range(4):  # the limit grows to its ceiling before anything is measured
            await pool.ask(prompts[: 8 * in_flight])
        before = _cpu()
        waves = [prompts[at : at + 64] for at in range(0, len(prompts), 64)]
        todo = iter(waves)

        async def asker() -> None:
            for wave in todo:
                answers = await pool.ask(wave)
                assert len(answers) == len(wave)

        await asyncio.gather(*(asker() for _ in range(4)))
        return _cpu() - before
    finally:
        await pool.aclose()


async def _bare(url: str, prompts: list[Prompt], in_flight: int) -> float:
    client = TgiClient(HttpTransport(ServerOptions(url=url)))
    todo = iter(prompts)

    async def asker() -> None:
        for prompt in todo:
            await client.generate(prompt.text, prompt.params, timeout_s=30.0)

    try:
        before = _cpu()
        await asyncio.gather(*(asker() for _ in range(in_flight)))
        return _cpu() - before
    finally:
        await client.aclose()


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Run the stub or the measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=20_000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--serve", action="store_true")
    args = parser.parse_args()
    if args.serve:
        uvloop.run(_serve(args.in_flight))
        return
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    stub = subprocess.Popen(
        [sys.executable, __file__, "--serve", "--in-flight", str(args.in_flight)],
        stdout=subprocess.PIPE,
    )
    try:
        assert stub.stdout is not None
        url = f"http://127.0.0.1:{int(stub.stdout.readline())}"
        params = GenerateParams(max_new_tokens=48)
        prompts = [
            Prompt(text=TEXT.format(number), params=params, task="E-c")
            for number in range(args.prompts)
        ]
        measure = _bare if args.bare else _through_pool
        run = uvloop.run if args.uvloop else asyncio.run
        started = time.monotonic()
        cpu = run(measure(url, prompts, args.in_flight))
        line = {
            "cpu_ms_per_prompt": round(cpu * 1000 / args.prompts, 4),
            "prompts_per_s": round(args.prompts / (time.monotonic() - started)),
            "in_flight": args.in_flight,
            "loop": "uvloop" if args.uvloop else "asyncio",
            "through": "client" if args.bare else "pool",
        }
        print(json.dumps(line))
    finally:
        stub.terminate()
        stub.wait()


if __name__ == "__main__":
    main()
