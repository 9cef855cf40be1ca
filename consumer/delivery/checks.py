"""What is refused once the brokers have been asked: topics that are missing."""

from runtime.errors import Misconfigured
from runtime.kafka.options import KafkaOptions


def check_topics(options: KafkaOptions, existing: set[str]) -> None:
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
