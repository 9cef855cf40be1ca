"""Labels that are known exist from the start, at 0: an alert sees the first increase."""

import time
from random import Random

from consumer.analysis.decoder import Decoder
from consumer.dead_letters import KNOWN, Reason
from consumer.records import Record
from consumer.telemetry import metrics as m
from consumer.telemetry.meter import Meter
from producer import BAD_INPUTS
from schemas import DeadLetter


def exposed(meter: Meter) -> str:
    body, _ = meter.expose()
    return body.decode()


def test_each_stage_and_class_of_dead_letters_is_there_before_the_first() -> None:
    text = exposed(Meter())
    for stage, reason in KNOWN:
        assert f'emostream_dead_letters_total{{class="{reason}",stage="{stage}"}} 0.0' in text


def test_no_class_of_dead_letters_is_left_out() -> None:
    assert {reason for _, reason in KNOWN} == set(Reason)


def test_what_decoding_really_gives_is_known() -> None:
    decoder, random, now = Decoder(), Random(0), time.time()
    letters = []
    for bad in BAD_INPUTS:
        record = Record(
            topic="posts",
            partition=0,
            offset=0,
            epoch=0,
            timestamp_ms=0,
            received_at=now,
            key=None,
            value=bad.value("1", random),
        )
        if isinstance(outcome := decoder.decode(record), DeadLetter):
            letters.append((outcome.stage, outcome.class_name))
    assert letters
    assert set(letters) <= {(str(stage), str(reason)) for stage, reason in KNOWN}


def test_rules_pauses_and_the_version_are_there_from_the_start() -> None:
    text = exposed(Meter())
    for line in (
        'emostream_skipped_records_total{rule="tombstone"} 0.0',
        'emostream_skipped_records_total{rule="opted_out"} 0.0',
        'emostream_pauses_total{reason="unavailable"} 0.0',
        'emostream_commit_failures_total{kind="error"} 0.0',
        "emostream_posts_consumed_total 0.0",
        'emostream_build_info{version="',
    ):
        assert line in text


def test_servers_and_tasks_are_there_once_they_are_known() -> None:
    meter = Meter()
    meter.expect(["http://tgi"], ["V-reg"])
    text = exposed(meter)
    assert (
        'emostream_model_requests_total{outcome="Refused",server="http://tgi",task="V-reg"} 0.0'
        in text
    )
    assert 'emostream_unreadable_answers_total{outcome="given_up",task="V-reg"} 0.0' in text
    meter.on_request("http://tgi", "V-reg", "Refused", 0.1)
    meter.expect(["http://tgi"], ["V-reg"])  # counts are kept
    assert meter.value(m.REQUESTS, "http://tgi", "V-reg", "Refused") == 1
