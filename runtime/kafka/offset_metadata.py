"""Of which topic a committed offset is.

A topic that is deleted and created again has the old name and other records: an offset of the old
one, committed late, says nothing about the new one. So the topic's id goes with each commit, as
Kafka's offset metadata. The cluster's id goes with it: tools that copy offsets to another cluster
translate the offset and leave the metadata as it is, and there each topic has another id anyway.
"""

from runtime.kafka.protocol import TopicFacts

_TOPIC, _CLUSTER = "topic-id", "cluster-id"

BEGINS_HERE = "begins-here"
"""Beside the offset at which a group begins to read: nothing of the partition was read yet."""


def offset_metadata(topic: TopicFacts) -> str:
    """What is committed beside each offset of this topic; empty where brokers give no id."""
    return f"{_TOPIC}={topic.id};{_CLUSTER}={topic.cluster_id}" if topic.id else ""


def is_of_another_topic(metadata: str, topic: TopicFacts) -> bool:
    """Whether an offset with this metadata is of a topic that had the name before.

    False where that can't be told: no metadata (an older version of ours committed it, or a human
    set it), metadata of another program, another cluster, brokers that give topics no id.
    """
    words = dict(word.partition("=")[::2] for word in metadata.split(";"))
    then = words.get(_TOPIC)
    if not then or not topic.id or words.get(_CLUSTER) != topic.cluster_id:
        return False
    return then != topic.id
