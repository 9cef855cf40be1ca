"""Evidence against a prompt, and who is asked alone next."""

from collections.abc import Callable

import pytest

from emollm.errors import GenerationFailed, ModelError, Overloaded, TimedOut
from emollm.pool.evidence import Evidence
from emollm.pool.failure_rate import MOST, FailureRate, failures_to_exclude_luck
from emollm.pool.quarantine import Quarantine
from emollm.pool.queue import Call, Pending
from tests.emollm.pool.fakes import prompts

SOUND = 0.004
FLAKY = 0.3


def failures_until_condemned(error: ModelError, share: float, apart_s: float = 5.0) -> int:
    evidence = Evidence()
    for number in range(1, 100):
        evidence.failed(error, share, number * apart_s)
        if evidence.condemns():
            return number
    raise AssertionError("it never was")


@pytest.mark.parametrize(
    ("error", "share", "failures"),
    [
        (GenerationFailed("500"), SOUND, 5),
        (Overloaded("429"), SOUND, 5),
        (TimedOut("3 s"), SOUND, 3),
        (GenerationFailed("500"), FLAKY, 12),
        (TimedOut("3 s"), FLAKY, 12),
        (GenerationFailed("500"), 0.95, MOST),
    ],
)
def test_a_verdict_takes_as_many_failures_as_exclude_luck(
    error: ModelError, share: float, failures: int
) -> None:
    assert failures_until_condemned(error, share) == failures


def test_a_verdict_takes_ten_seconds() -> None:
    assert failures_until_condemned(GenerationFailed("500"), SOUND, apart_s=1.0) == 11


def test_the_time_between_two_trials_is_no_part_of_the_ten_seconds() -> None:
    evidence = Evidence()
    for at in (0.0, 1.0, 2.0, 3.0):
        evidence.failed(GenerationFailed("500"), SOUND, at)
    evidence.skip(60.0)
    evidence.failed(GenerationFailed("500"), SOUND, 64.0)
    assert not evidence.condemns()
    evidence.failed(GenerationFailed("500"), SOUND, 71.0)
    assert evidence.condemns()


def test_the_flakiest_server_it_failed_on_counts() -> None:
    evidence = Evidence()
    evidence.failed(GenerationFailed("500"), FLAKY, 0.0)
    for at in range(1, 11):
        evidence.failed(GenerationFailed("500"), SOUND, 5.0 * at)
        assert not evidence.condemns()
    evidence.failed(GenerationFailed("500"), SOUND, 60.0)
    assert evidence.condemns()


def test_two_servers_that_die_under_it_alone_condemn_it_unless_others_died_too() -> None:
    evidence = Evidence()
    evidence.died(5, SOUND)
    assert not evidence.condemns()
    evidence.died(5, SOUND)
    assert evidence.condemns()
    assert not evidence.condemns(other_deaths=1)


def test_the_share_of_failures_is_estimated_carefully_at_first_and_well_later() -> None:
    rate = FailureRate()
    assert rate.share == pytest.approx(0.05), "nothing is known yet"
    for number in range(1_000):
        (rate.on_failure if number % 10 < 3 else rate.on_answer)()
    assert rate.share == pytest.approx(0.3, abs=0.05)
    for _ in range(2_000):
        rate.on_answer()
    assert rate.share < 0.005
    assert failures_to_exclude_luck(rate.share, 1e-6) == 3


class Waiting:
    """A sender that sends nothing."""

    def enqueue(self, call: Call, prompts: list[Pending]) -> None:
        call.queue.extend(prompts)

    def forget(self, call: Call) -> None:
        call.queue.clear()


@pytest.fixture
def pending() -> Callable[..., Pending]:
    def make(post: str, number: int = 0) -> Pending:
        call = Call(Waiting(), lambda _index, _answer: None, lambda _error: None)
        call.send(prompts(f"{post} {number}", post=post))
        return call.first()

    return make


def test_one_prompt_of_a_post_is_tried_at_a_time_and_what_was_begun_goes_first(
    pending: Callable[..., Pending],
) -> None:
    quarantine = Quarantine()
    first, second, other = pending("a", 1), pending("a", 2), pending("b")
    for one in (first, second, other):
        quarantine.add(one, 1.0)
    assert quarantine.take(0.5) is None
    assert quarantine.take(1.0) is first
    assert quarantine.take(1.0) is other
    assert quarantine.take(1.0) is None, "its post is being tried"
    first.evidence = Evidence()
    first.evidence.failed(GenerationFailed("500"), SOUND, 1.0)
    quarantine.put_back(other, 2.0)
    quarantine.put_back(first, 3.0)
    assert quarantine.next_due() == 2.0
    assert quarantine.take(3.0) is first
    quarantine.done(first, 3.0)
    assert quarantine.take(3.0) is other
    assert quarantine.take(3.0) is second


def test_what_there_is_evidence_of_goes_before_the_others_of_its_post(
    pending: Callable[..., Pending],
) -> None:
    quarantine = Quarantine()
    first, second = pending("a", 1), pending("a", 2)
    second.evidence = Evidence()
    quarantine.add(first, 1.0)
    quarantine.add(second, 2.0)
    assert quarantine.take(1.0) is second


def test_the_others_of_a_condemned_post_come_out_with_it(
    pending: Callable[..., Pending],
) -> None:
    quarantine = Quarantine()
    first, second, other = pending("a", 1), pending("a", 2), pending("b")
    for one in (first, second, other):
        quarantine.add(one, 1.0)
    assert quarantine.take(1.0) is first
    assert quarantine.others(first) == [second]
    quarantine.done(first, 1.0)
    assert len(quarantine) == 1


def test_a_cancelled_calls_prompts_are_forgotten(pending: Callable[..., Pending]) -> None:
    quarantine = Quarantine()
    first, other = pending("a"), pending("b")
    quarantine.add(first, 1.0)
    quarantine.add(other, 1.0)
    assert quarantine.remove(first.call) == [first]
    assert quarantine.take(1.0) is other
    quarantine.remove(other.call)
    quarantine.done(other, 1.0)
    assert len(quarantine) == 0
    assert quarantine.next_due() == float("inf")
