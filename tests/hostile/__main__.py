"""`python -m tests.hostile WHAT`: throw everything at it, and show what became of it.

fuzz: inputs by the million through decode, plan and read. consume: records and answers through the
whole consumer, a process of its own on real Kafka. injection: 200 posts against the prompts of six
model families, token by token.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from infra.kafka import BrokerSettings, EmbeddedKafka
from tests.hostile import consume, fuzz
from tests.hostile.fuzz import say


def main() -> int:
    """Run; 0 when every promise was kept. What breaks one is raised, made small."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("what", choices=("fuzz", "consume", "injection"))
    parser.add_argument("--inputs", type=int, default=1_000_000, help="fuzz: how many")
    parser.add_argument("--records", type=int, default=100_000, help="consume: how many")
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--state", type=Path, help="fuzz: keeps the count, to go on from")
    options = parser.parse_args()
    if options.what == "consume":
        report = asyncio.run(_consume(options.records, options.seed))
        sys.stdout.write(report.text())
        return 0 if report.ok else 1
    if options.what == "injection":
        from tests.hostile import injection  # noqa: PLC0415 - the tokenizers take a second

        lines, ok = injection.report()
        sys.stdout.write(lines)
        return 0 if ok else 1
    done = fuzz.run(options.inputs, options.seed, options.state, say)
    sys.stdout.write(fuzz.table(done))
    return 0


async def _consume(records: int, seed: int) -> consume.Report:
    async with EmbeddedKafka(BrokerSettings(heap_mb=512)) as kafka:
        return await consume.run(kafka.bootstrap, records, seed, say)


if __name__ == "__main__":
    sys.exit(main())
