"""CPU of the client's side for one prompt: pool + TgiClient + transport against an instant stub.

    python -m bench.pool_cpu [--prompts 20000] [--in-flight 64] [--uvloop] [--bare]

The stub runs in a process of its own, so that only the client's CPU is counted. `--bare` leaves
the pool out: tasks that call the client. One line of JSON on stdout.
"""

import argparse
import asyncio
import json
import logging
import resource
import time

import structlog
import uvloop

from bench.model.server import ModelServer, Serving
from emollm.clients import HttpTransport, ServerOptions, TgiClient
from emollm.pool import PoolOptions, open_pool
from emollm.protocol import GenerateParams, Prompt

TEXT = (
    "Human: \nTask: Categorize the tweet's emotional tone as either 'neutral or no emotion' or "
    "identify the presence of one or more of the given emotions. Tweet: {} and the sun is out "
    "again over the harbour, what a day. This tweet contains emotions: \n\nAssistant:\n"
)


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
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with ModelServer(Serving(max_concurrent_requests=2 * args.in_flight)) as server:
        params = GenerateParams(max_new_tokens=48)
        prompts = [
            Prompt(text=TEXT.format(number), params=params, task="E-c")
            for number in range(args.prompts)
        ]
        measure = _bare if args.bare else _through_pool
        run = uvloop.run if args.uvloop else asyncio.run
        started = time.monotonic()
        cpu = run(measure(server.url, prompts, args.in_flight))
        line = {
            "cpu_ms_per_prompt": round(cpu * 1000 / args.prompts, 4),
            "prompts_per_s": round(args.prompts / (time.monotonic() - started)),
            "in_flight": args.in_flight,
            "loop": "uvloop" if args.uvloop else "asyncio",
            "through": "client" if args.bare else "pool",
        }
        print(json.dumps(line))


if __name__ == "__main__":
    main()
