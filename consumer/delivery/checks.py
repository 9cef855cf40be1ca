"""What is checked at Kafka before the group is joined, in words that say what to do."""

from collections.abc import Collection

from runtime.errors import AccessDenied, Misconfigured
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import KafkaConsumer

_WITHIN_S = 10.0


async def check_kafka(options: KafkaOptions, consumer: KafkaConsumer) -> None:
    """Refuse to start without the topics, without the rights, or with unsuited dead-letter topics.

    What the brokers don't tell (they are old, or we may not ask) is not checked here: it shows
    when it is needed.

    Raises:
        Misconfigured: a topic is missing, or compacted.
        AccessDenied: a right is missing.
        KafkaFault: no broker answers.
    """
    check_topics(options, await consumer.topics())
    facts = await consumer.topic_facts(
        [*options.input_topics, options.output_topic, options.dlq_topic], timeout_s=_WITHIN_S
    )
    for topic, needed in (
        *((topic, "read") for topic in options.input_topics),
        (options.output_topic, "write"),
        (options.dlq_topic, "write"),
    ):
        allowed = facts[topic].operations if topic in facts else frozenset()
        if allowed and needed not in allowed:
            raise AccessDenied(
                f"this user has no right to {needed} the topic {topic}: grant {needed.upper()}"
            )
    if await consumer.compacted(options.dlq_topic, timeout_s=_WITHIN_S):
        raise Misconfigured(
            f"the dead-letter topic {options.dlq_topic} is compacted: of dead letters with one key"
            " it would keep the last, and those without a key it refuses; set its cleanup.policy "
            "to delete"
        )


def check_topics(options: KafkaOptions, existing: Collection[str]) -> None:
    """Refuse to start without the topics that are named.

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
