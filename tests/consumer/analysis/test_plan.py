"""The task set in words is part of every event's id."""

from consumer.analysis.plan import make_plan
from consumer.settings import Tasks


def test_asked_and_derived_classes_give_different_signatures() -> None:
    asked = make_plan(Tasks(v_oc="ask", ei_oc="ask")).signature
    derived = make_plan(Tasks()).signature
    off = make_plan(Tasks(v_oc="off", ei_oc="off")).signature
    assert len({asked, derived, off, make_plan(Tasks(ei_emotions="all")).signature}) == 4
