"""What writes posts into Kafka: files, synthetic load, rated tweets, dead letters once more."""

from producer.bad_input import BAD_INPUTS, BadInput
from producer.dead_letter_replay import DlqReplayReport, DlqReplaySettings, replay_dead_letters
from producer.dead_letters import (
    DeadLetterFilter,
    Listing,
    StoredDeadLetter,
    Summary,
    describe,
    list_dead_letters,
    show_dead_letter,
)
from producer.errors import NoSuchDeadLetter, ProducerError, TweetsUnavailable, UnreadableFile
from producer.load import LoadSettings, load_records, send_load
from producer.rated_tweets import fetch_tweets
from producer.replay import ReplaySettings, replay_file
from producer.report import BadLine, BadLineObserver, Observer, Progress, Report
from producer.tweets import HUMAN_VALENCE, TweetsSettings, read_tweets, sample, send_tweets
from producer.valence_agreement import Agreement, pearson, valence_agreement
from runtime.kafka.connection import Broker
from runtime.kafka.errors import DeliveryStalled, ReadingStalled, TopicMissing, Unreachable
from runtime.kafka.producing import Delivery, Outgoing

__all__ = [
    "BAD_INPUTS",
    "HUMAN_VALENCE",
    "Agreement",
    "BadInput",
    "BadLine",
    "BadLineObserver",
    "Broker",
    "DeadLetterFilter",
    "Delivery",
    "DeliveryStalled",
    "DlqReplayReport",
    "DlqReplaySettings",
    "Listing",
    "LoadSettings",
    "NoSuchDeadLetter",
    "Observer",
    "Outgoing",
    "ProducerError",
    "Progress",
    "ReadingStalled",
    "ReplaySettings",
    "Report",
    "StoredDeadLetter",
    "Summary",
    "TopicMissing",
    "TweetsSettings",
    "TweetsUnavailable",
    "Unreachable",
    "UnreadableFile",
    "describe",
    "fetch_tweets",
    "list_dead_letters",
    "load_records",
    "pearson",
    "read_tweets",
    "replay_dead_letters",
    "replay_file",
    "sample",
    "send_load",
    "send_tweets",
    "show_dead_letter",
    "valence_agreement",
]
