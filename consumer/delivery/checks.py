"""What is refused at start, in words that mend it."""

import re

from consumer.options import ServiceLimits
from runtime.errors import Misconfigured
from runtime.kafka.options import KafkaOptions


def check(options: KafkaOptions, limits: ServiceLimits, *, commit_s: float) -> None:
    """Refuse what can't work; `commit_s` is what the commit after a drain may take.

    Raises:
        Misconfigured: says which value to change.
    """
    if bool(options.input_topics) == (options.input_pattern is not None):
        raise Misconfigured("name input topics, or a pattern for them: one of the two")
    if options.input_pattern is not None:
        try:
            pattern = re.compile(rf"(?:{options.input_pattern})\Z")
        except re.error as error:
            raise Misconfigured(f"the pattern for input topics is no regex: {error}") from error
        ours = (options.output_topic, options.dlq_topic)
        eaten = [topic for topic in ours if pattern.match(topic)]
    else:
        eaten = [t for t in options.input_topics if t in {options.output_topic, options.dlq_topic}]
    if eaten:
        raise Misconfigured(f"{eaten[0]} is an input and an output: it would feed itself")
    longest = limits.drain.revoke_s + commit_s
    if options.rebalance_timeout_s <= longest:
        raise Misconfigured(
            f"rebalance_timeout_s ({options.rebalance_timeout_s:g}) must be above the drain's "
            f"revoke_s and {commit_s:g} s for its commit ({longest:g}): brokers throw a "
            "member out that takes longer, and refuse its commit"
        )
    if options.max_poll_interval_s <= options.rebalance_timeout_s:
        raise Misconfigured("max_poll_interval_s must be above rebalance_timeout_s")


def check_topics(options: KafkaOptions, existing: set[str]) -> None:
    """Refuse to start without the topics that are named, or with a pattern that eats our own.

    Raises:
        Misconfigured: says which topics are missing, and what makes them.
    """
    wanted = [*options.input_topics, options.output_topic, options.dlq_topic]
    missing = [topic for topic in wanted if topic not in existing]
    if missing:
        raise Misconfigured(
            f"missing topics on {options.bootstrap}: {', '.join(missing)}. "
            "`emostream topics create` makes them"
        )
