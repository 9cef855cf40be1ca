"""What is checked at Kafka before the group is joined, in words that say what to do."""

from collections.abc import Collection

from runtime.errors import AccessDenied, Misconfigured
from runtime.kafka.errors import Denied, GroupRefused
from runtime.kafka.options import KafkaOptions
from runtime.kafka.protocol import KafkaConsumer
from runtime.spelling import closest

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
    await _check_group(options, consumer)
    if await consumer.compacted(options.dlq_topic, timeout_s=_WITHIN_S):
        raise Misconfigured(
            f"the dead-letter topic {options.dlq_topic} is compacted: of dead letters with one key"
            " it would keep the last, and those without a key it refuses; set its cleanup.policy "
            "to delete"
        )


async def _check_group(options: KafkaOptions, consumer: KafkaConsumer) -> None:
    try:
        allowed = await consumer.group_operations(timeout_s=_WITHIN_S)
    except Denied:
        allowed = frozenset({"nothing"})
    if allowed and "read" not in allowed:
        raise AccessDenied(
            f"this user has no right to use the group {options.group_id}: grant READ on it"
        )


def check_topics(options: KafkaOptions, existing: Collection[str]) -> None:
    """Refuse to start without the topics that are named.

    Raises:
        Misconfigured: says which topics are missing, and what makes them.
    """
    wanted = [*options.input_topics, options.output_topic, options.dlq_topic]
    missing = [topic for topic in wanted if topic not in existing]
    if missing:
        others = sorted(set(existing) - set(wanted))
        shown = ((topic, closest(topic, others)) for topic in missing)
        words = ", ".join(t if near is None else f"{t} (did you mean {near}?)" for t, near in shown)
        raise Misconfigured(
            f"missing topics on {options.bootstrap}: {words}. `emostream topics create` makes them"
        )


def not_taken(options: KafkaOptions, error: GroupRefused) -> str:
    """Say why the group doesn't take this member, and what to change."""
    group = f"the group {options.group_id}"
    if "InconsistentGroupProtocol" in str(error):
        return (
            f"{group} is another program's: its members share the partitions by another assignor."
            " Give input.group_id a name of its own, or stop that program"
        )
    if "InvalidSessionTimeout" in str(error):
        return (
            f"the brokers don't allow kafka.session_timeout_s = {options.session_timeout_s:g}: stay"
            " between their group.min.session.timeout.ms and group.max.session.timeout.ms"
        )
    return f"{group} is refused ({error}): give input.group_id another name"
