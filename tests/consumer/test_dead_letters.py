"""A poison post becomes one dead letter, acknowledged before its offset settles."""

from consumer.errors import FuseBlown
from consumer.options import FuseLimits, PublishLimits
from runtime.errors import Misconfigured
from runtime.kafka.errors import Denied, ProducerLost, Unreachable
from schemas.headers import read_dead_letter
from tests.consumer.delivery.rig import POSTS, Rig, limits, numbered, options, running


async def test_a_poison_post_becomes_one_dead_letter_with_its_own_bytes_and_the_reason() -> None:
    rig = Rig()
    rig.kafka.produce("posts", [b"a", b"poison", b"b"])
    async with running(rig):
        await rig.turn(2)
        assert rig.events() == [b"a", b"b"]
        (record,) = [
            record
            for partition, log in rig.kafka.logs.items()
            if partition.topic == "affect.dlq"
            for record in log.records
        ]
        dead_letter = read_dead_letter(record.key, record.value, record.headers)
        assert (dead_letter.value, dead_letter.topic, dead_letter.offset) == (b"poison", "posts", 1)
        assert (dead_letter.stage, dead_letter.class_name) == ("decode", "NotJson")
        assert rig.committed == 3
        assert rig.seen.dead_letters == [("decode", "NotJson")]


async def test_an_offset_waits_for_the_acknowledgement_of_its_dead_letter() -> None:
    rig = Rig()
    rig.kafka.held_topics = {"affect.dlq"}
    rig.kafka.produce("posts", [b"a", b"poison", b"b"])
    async with running(rig):
        await rig.turn(5)
        assert rig.committed == 0
        rig.kafka.acknowledge("affect.dlq")
        await rig.turn(2)
        assert rig.committed == 3


async def test_an_offset_waits_for_the_acknowledgement_of_its_event() -> None:
    rig = Rig()
    rig.kafka.held_topics = {"affect.events"}
    rig.kafka.produce("posts", [b"a"])
    async with running(rig):
        await rig.turn(5)
        assert rig.committed == 0
        rig.kafka.acknowledge("affect.events")
        await rig.turn(2)
        assert rig.committed == 1


async def test_a_dead_letter_topic_that_refuses_keeps_the_offset_and_says_what_to_do() -> None:
    rig = Rig()
    rig.kafka.max_bytes["affect.dlq"] = 3
    rig.kafka.produce("posts", [b"a", b"poison", b"b"])
    rig.start()
    assert await rig.end() == 2
    assert isinstance(rig.service.error, Misconfigured)
    assert "max.message.bytes" in str(rig.service.error)
    assert rig.events() == [b"a", b"b"]
    assert rig.committed == 1


async def test_an_event_that_is_too_large_for_us_becomes_a_dead_letter() -> None:
    rig = Rig(kafka_options=options(max_request_bytes=1_000))
    rig.processor.make = lambda record: b"x" * (5_000 if record.value == b"big" else 5)
    rig.kafka.produce("posts", [b"a", b"big"])
    async with running(rig):
        await rig.turn(2)
        assert rig.kafka.values("affect.dlq") == [b"big"]
        assert rig.seen.dead_letters == [("publish", "TooLarge")]
        assert rig.committed == 2
        assert len(rig.kafka.producers) == 1


async def test_an_event_that_the_broker_finds_too_large_becomes_a_dead_letter_and_no_other() -> (
    None
):
    rig = Rig()
    rig.kafka.max_bytes["affect.events"] = 10
    rig.kafka.produce("posts", [b"a", b"b", b"a-rather-long-post", b"c", b"d"])
    async with running(rig):
        await rig.turn(3)
        assert rig.kafka.values("affect.dlq") == [b"a-rather-long-post"]
        assert set(rig.events()) == {b"a", b"b", b"c", b"d"}
        assert rig.committed == 5


async def test_a_producer_whose_sequence_is_broken_is_replaced_and_nothing_is_lost() -> None:
    rig = Rig()
    rig.kafka.send_faults = [ProducerLost("out of order"), Unreachable("no leader")]
    rig.kafka.produce("posts", numbered(20))
    async with running(rig):
        await rig.turn(5)
        assert set(rig.events()) == set(numbered(20))
        assert rig.committed == 20
        assert len(rig.kafka.producers) >= 2
        assert rig.kafka.producers[0].stopped


async def test_events_that_are_not_acknowledged_in_time_stop_the_service_uncommitted() -> None:
    rig = Rig(service_limits=limits(publish=PublishLimits(timeout_s=30)))
    rig.kafka.held_topics = {"affect.events"}
    rig.kafka.produce("posts", numbered(2))
    rig.start()
    assert await rig.end() == 1
    assert "30 s" in str(rig.service.error)
    assert rig.committed in {None, 0}


async def test_a_refused_write_stops_the_service_with_exit_3() -> None:
    rig = Rig()
    rig.kafka.send_faults = [Denied("topic authorization failed")]
    rig.kafka.produce("posts", numbered(2))
    rig.start()
    assert await rig.end() == 3
    assert rig.committed in {None, 0}


async def test_a_poison_post_is_isolated_out_of_a_batch_that_raises() -> None:
    rig = Rig()
    rig.kafka.produce("posts", [b"a", b"b", b"bug-1", b"c", b"d", b"bug-2", b"e"])
    async with running(rig):
        await rig.turn(2)
        assert rig.events() == [b"a", b"b", b"c", b"d", b"e"]
        assert rig.kafka.values("affect.dlq") == [b"bug-1", b"bug-2"]
        assert rig.seen.dead_letters == [("infer", "Bug")] * 2
        assert rig.committed == 7
        assert rig.processor.calls.count([b"bug-1"]) == 1


async def test_the_reason_of_a_bug_never_quotes_the_post() -> None:
    rig = Rig()
    rig.kafka.produce("posts", [b"bug"])
    async with running(rig):
        await rig.turn(2)
        (log,) = [log for one, log in rig.kafka.logs.items() if one.topic == "affect.dlq"]
        headers = b" ".join(value or b"" for _, value in log.records[0].headers)
        assert b"KeyError" in headers
        assert b"nobody may see" not in headers


async def test_the_fuse_stops_a_bad_deploy_before_it_commits_more() -> None:
    rig = Rig(service_limits=limits(fuse=FuseLimits(window=20, share=0.9)))
    rig.kafka.produce("posts", numbered(1_000, "poison"))
    rig.start()
    assert await rig.end() == 3
    assert isinstance(rig.service.error, FuseBlown)
    assert rig.seen.fuses == 1
    assert len(rig.kafka.values("affect.dlq")) < 60
    assert (rig.committed or 0) <= 20


async def test_one_poison_post_among_good_ones_does_not_blow_the_fuse() -> None:
    rig = Rig(service_limits=limits(fuse=FuseLimits(window=20, share=0.9)))
    values = numbered(200)
    values[::2] = numbered(100, "poison")
    rig.kafka.produce("posts", values)
    async with running(rig):
        await rig.turn(3)
        assert rig.committed == 200
        assert POSTS in rig.kafka.groups["emostream"].committed


async def test_dead_letters_of_a_bug_and_of_publishing_name_the_model() -> None:
    rig = Rig(kafka_options=options(max_request_bytes=1_000))
    rig.processor.make = lambda record: b"x" * (5_000 if record.value == b"big" else 5)
    rig.kafka.produce("posts", [b"a", b"big", b"bug"])
    async with running(rig):
        await rig.turn(3)
        dead_letters = [
            read_dead_letter(record.key, record.value, record.headers)
            for partition, log in rig.kafka.logs.items()
            if partition.topic == "affect.dlq"
            for record in log.records
        ]
    assert {(one.stage, one.model) for one in dead_letters} == {
        ("infer", "emostream-small"),
        ("publish", "emostream-small"),
    }
