"""The task set in words is part of every event's id."""

from itertools import product
from typing import Any

from consumer.analysis.plan import make_plan
from consumer.settings import Tasks


def test_every_way_to_get_the_classes_has_a_signature_of_its_own() -> None:
    """One option alone must make the difference: an event asked for isn't one derived."""
    ways: list[dict[str, Any]] = [
        {"v_oc": v_oc, "ei_oc": ei_oc, "ei_emotions": emotions}
        for v_oc, ei_oc, emotions in product(
            ("ask", "derive", "off"), ("ask", "derive", "off"), ("cascade", "all")
        )
    ]
    signatures = [make_plan(Tasks.model_validate(way)).signature for way in ways]
    assert len(set(signatures)) == len(ways)


def test_every_task_that_is_switched_off_changes_the_signature() -> None:
    whole = {"v_oc": "off", "ei_oc": "off", "ei_emotions": "all"}
    signatures = {
        make_plan(Tasks.model_validate(whole | {task: False})).signature
        for task in ("v_reg", "e_c", "ei_reg")
    }
    assert len(signatures | {make_plan(Tasks.model_validate(whole)).signature}) == 4
