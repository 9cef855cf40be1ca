"""Goals are compared with their bounds, and all figures go into the JSON file."""

import msgspec

from bench.machine import this_machine
from bench.report import Goal, Part, as_json


def test_a_goal_knows_which_side_of_its_bound_is_the_right_one() -> None:
    assert Goal(what="share", figure=98.0, bound=98).reached
    assert not Goal(what="share", figure=97.9, bound=98).reached
    assert Goal(what="latency", figure=10.0, bound=10, at_least=False).reached
    assert not Goal(what="latency", figure=10.1, bound=10, at_least=False).reached


def test_the_json_file_names_the_machine_and_says_what_was_reached() -> None:
    part = Part(
        name="peers",
        title="",
        settings="",
        columns=("a",),
        rows=(("1",),),
        goals=(Goal(what="cost", figure=0.4, bound=0.5, at_least=False),),
        details={"posts": 3},
    )
    found = msgspec.json.decode(as_json(this_machine(), [part]))
    assert found["machine"]["cores"] >= 1
    assert found["parts"][0]["goals"][0]["reached"] is True
    assert found["parts"][0]["details"] == {"posts": 3}
