"""What writes posts into Kafka: files, synthetic load, rated tweets, dead letters once more."""

from producer.bad_input import BAD_INPUTS, BadInput
from producer.clock import Clock
from producer.dlq import (
    Letter,
    LetterFilter,
    Listing,
    Summary,
    describe,
    list_letters,
    show_letter,
)
from producer.dlq_replay import DlqReplayReport, DlqReplaySettings, replay_letters
from producer.errors import NoSuchLetter, ProducerError, TweetsUnavailable, UnreadableFile
from producer.load import LoadSettings, load_records, send_load
from producer.rated_tweets import fetch_tweets
from producer.replay import ReplaySettings, replay_file
from producer.report import BadLine, BadLineObserver, Observer, Progress, Report
from producer.tweets import HUMAN_VALENCE, TweetsSettings, read_tweets, sample, send_tweets
from producer.yardstick import Agreement, pearson, valence_agreement
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
    "Clock",
    "Delivery",
    "DeliveryStalled",
    "DlqReplayReport",
    "DlqReplaySettings",
    "Letter",
    "LetterFilter",
    "Listing",
    "LoadSettings",
    "NoSuchLetter",
    "Observer",
    "Outgoing",
    "ProducerError",
    "Progress",
    "ReadingStalled",
    "ReplaySettings",
    "Report",
    "Summary",
    "TopicMissing",
    "TweetsSettings",
    "TweetsUnavailable",
    "Unreachable",
    "UnreadableFile",
    "describe",
    "fetch_tweets",
    "list_letters",
    "load_records",
    "pearson",
    "read_tweets",
    "replay_file",
    "replay_letters",
    "sample",
    "send_load",
    "send_tweets",
    "show_letter",
    "valence_agreement",
]
