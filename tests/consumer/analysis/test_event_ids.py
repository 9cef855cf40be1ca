"""An event's id is the same for the same record and the same questions, and no other's."""

import uuid

from consumer.analysis.event_ids import EventIds, uuid5_of

IDS = EventIds("V-reg", cluster_id="c")


def test_a_redelivery_gives_the_same_id() -> None:
    assert IDS.of("posts", 1, 2, b"a") == EventIds("V-reg", cluster_id="c").of("posts", 1, 2, b"a")


def test_two_records_of_a_topic_that_was_created_again_have_two_ids() -> None:
    assert IDS.of("posts", 1, 2, b"a") != IDS.of("posts", 1, 2, b"b")


def test_every_part_gives_another_id() -> None:
    others = {
        IDS.of("posts", 1, 2, b"a"),
        IDS.of("posts", 1, 3, b"a"),
        IDS.of("posts", 2, 2, b"a"),
        IDS.of("more", 1, 2, b"a"),
        EventIds("V-reg", cluster_id="d").of("posts", 1, 2, b"a"),
        EventIds("E-c", cluster_id="c").of("posts", 1, 2, b"a"),
        EventIds("V-reg", cluster_id="c", model="m").of("posts", 1, 2, b"a"),
        EventIds("V-reg", cluster_id="c", revision="m").of("posts", 1, 2, b"a"),
    }
    assert len(others) == 8


def test_ids_are_uuids_of_version_5() -> None:
    assert uuid.UUID(IDS.of("posts", 1, 2, None)).version == 5
    namespace = uuid.uuid5(uuid.NAMESPACE_URL, "urn:emostream:affect-event")
    assert uuid5_of("x") == str(uuid.uuid5(namespace, "x"))
