"""What is refused at start: options that contradict each other, in the words of their settings."""

import re

from consumer.options import LAST_COMMIT_S, ServiceLimits
from runtime.errors import Misconfigured
from runtime.kafka.options import KafkaOptions, whole_names


def check(options: KafkaOptions, limits: ServiceLimits) -> None:
    """Refuse what can't work.

    Raises:
        Misconfigured: says which setting to change.
    """
    _check_topics(options)
    drained = limits.drain.revoke_s + LAST_COMMIT_S
    if options.rebalance_timeout_s <= drained:
        raise Misconfigured(
            f"kafka.rebalance_timeout_s ({options.rebalance_timeout_s:g}) must be above"
            f" drain.revoke_s and {LAST_COMMIT_S:g} s for its commit ({drained:g}), or drained work"
            " is refused and done again: raise the first or lower the second"
        )
    if options.guarantee == "exactly-once" and options.transaction_timeout_s <= drained:
        raise Misconfigured(
            f"delivery.transaction_timeout_s ({options.transaction_timeout_s:g}) must be above"
            f" drain.revoke_s and {LAST_COMMIT_S:g} s for its commit ({drained:g}), or the brokers"
            " abort what is being drained: raise the first or lower the second"
        )
    if options.max_poll_interval_s <= options.rebalance_timeout_s:
        raise Misconfigured("max_poll_interval_s must be above kafka.rebalance_timeout_s")


def _check_topics(options: KafkaOptions) -> None:
    if bool(options.input_topics) == (options.input_pattern is not None):
        raise Misconfigured("give either input.topics or input.pattern: one of the two")
    try:
        pattern = whole_names(options.input_pattern or "")
    except re.error as error:
        raise Misconfigured(f"input.pattern is no regular expression: {error}") from None
    ours = {"output.events_topic": options.output_topic, "output.dlq_topic": options.dlq_topic}
    for name, topic in ours.items():
        if topic in options.input_topics or (options.input_pattern and pattern.match(topic)):
            raise Misconfigured(
                f"{name} {topic!r} is also an input topic, so output would be read back as posts,"
                " without end: name another topic or narrow input"
            )
    if options.output_topic == options.dlq_topic:
        raise Misconfigured(
            "output.events_topic and output.dlq_topic are the same: give dead letters their own"
        )
