"""The fault program in small, and the proof that it would notice: each guarantee switched off."""

import struct
from pathlib import Path

import pytest

from consumer.analysis.model import make_builder
from consumer.settings import Model
from emollm import readers
from emollm.tasks import V_REG
from tests.faults.evidence import read_commit
from tests.faults.faults import FAULTS
from tests.faults.model_server import INFO, NONSENSE
from tests.faults.mutants import MUTANTS
from tests.faults.plan import Log, draw, read_plan
from tests.faults.rehearsal import Rehearsal
from tests.faults.unread import PLAN, QUESTIONS, Unreadable
from tests.faults.verdict import Commit, Input, Output, Unread, judge

SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_lost_and_no_commit_passes_an_unfinished_record(seed: int) -> None:
    verdict = await Rehearsal(seed).run()
    assert not verdict.counts, verdict.breaches
    assert verdict.posts == verdict.events
    assert verdict.commits > 0


@pytest.mark.parametrize("name", sorted(MUTANTS))
async def test_a_guarantee_switched_off_is_reported(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    MUTANTS[name](monkeypatch.setattr)
    found = set()
    for seed in SEEDS:
        found |= set((await Rehearsal(seed).run()).counts)
    assert "passed" in found
    assert "lost" in found


def _post(dead_letter: str | None = None) -> Input:
    return Input(b"key", dead_letter, 0)


def _event(offset: int, at: float, values: str = "joy") -> Output:
    return Output((0, offset), None, b"key", 0, values, at)


def _letter(offset: int, at: float) -> Output:
    return Output((0, offset), "NotJson", b"key", 0, "", at)


@pytest.mark.parametrize(
    ("outputs", "commits", "promise"),
    [
        ([_event(0, 1)], [Commit(0, 2, 9)], "lost"),
        ([_event(0, 1), _event(1, 5)], [Commit(0, 2, 4)], "passed"),
        ([_event(0, 1), _event(1, 1)], [Commit(0, 1, 4)], "left behind"),
        ([_event(0, 1), _event(1, 1), _letter(1, 2)], [Commit(0, 2, 4)], "both"),
        ([_event(0, 1), _letter(1, 2)], [Commit(0, 2, 4)], "wrong fate"),
        ([_event(0, 1), _event(1, 1), _event(1, 2, "fear")], [Commit(0, 2, 4)], "two truths"),
        ([_event(0, 1), _event(1, 1), _event(7, 2)], [Commit(0, 2, 4)], "invented"),
    ],
)
def test_each_broken_promise_has_its_name(
    outputs: list[Output], commits: list[Commit], promise: str
) -> None:
    posts = {(0, 0): _post(), (0, 1): _post()}
    assert promise in judge(posts, outputs, commits, finished=True).counts


def _said(offset: int, at: float, letter: str | None, *names: str, values: str = "joy") -> Output:
    return Output((0, offset), letter, b"key", 0, values, at, frozenset(names))


@pytest.mark.parametrize(
    ("outputs", "promise"),
    [
        ([_said(0, 1, None, "V-reg")], None),
        ([_said(0, 1, None, "V-reg", "E-c")], "unanswered"),
        ([_said(0, 1, "Unanswered", "V-reg")], None),
        ([_said(0, 1, "Unanswered", "V-reg", "E-c")], "unanswered"),
        ([_said(0, 1, "Unanswered")], "wrong fate"),
        ([_said(0, 1, "FailedAlone")], "wrong fate"),
        ([_said(0, 1, "Unanswered", "V-reg"), _event(0, 2)], None),
        ([_event(0, 1, "joy"), _event(0, 2, "fear")], None),
        ([_event(1, 1, "joy"), _event(1, 2, "fear"), _event(0, 1)], "two truths"),
        ([_event(0, 1), _said(1, 1, "Unanswered", "V-reg")], "unanswered"),
    ],
)
def test_only_what_the_model_answered_unreadably_may_stay_unanswered(
    outputs: list[Output], promise: str | None
) -> None:
    posts = {output.position: _post() for output in outputs if output.position is not None}

    def unread(position: tuple[int, int]) -> Unread:
        missed = frozenset({"V-reg"})
        return Unread(missed, missed) if position == (0, 0) else Unread()

    verdict = judge(posts, outputs, [Commit(0, 2, 9)], finished=True, unread=unread)
    assert set(verdict.counts) == ({promise} if promise else set())


def test_the_servers_know_which_questions_they_answered_unreadably() -> None:
    builder = make_builder(Model(), INFO, PLAN.tasks)
    text = builder.prepare("What a day!")
    valence = frozenset({"V-reg"})
    first, second = (builder.build(V_REG, text, None, wording).text for wording in (0, 1))
    assert Unreadable(INFO, {first}).of("What a day!") == Unread(valence)
    assert Unreadable(INFO, {first, second}).of("What a day!") == Unread(valence, valence)
    assert Unreadable(INFO, {first, second}).of("Another day.") == Unread()


def test_nonsense_answers_no_question() -> None:
    for question in QUESTIONS:
        for text in NONSENSE:
            assert isinstance(question.task.read(text, question.emotion), readers.Unreadable)


def test_a_kept_promise_is_no_breach_and_pauses_are_measured() -> None:
    posts = {(0, 0): _post(), (0, 1): _post("NotJson")}
    outputs = [_event(0, 3), _letter(1, 10), _event(0, 11)]
    verdict = judge(posts, outputs, [Commit(0, 1, 5), Commit(0, 2, 12)], finished=True)
    assert verdict.ok
    assert verdict.redelivered == 1
    assert verdict.pauses[0] == (3, 10)


@pytest.mark.parametrize("version", [1, 3, 4])
def test_commits_are_read_as_kafka_writes_them(version: int) -> None:
    key = struct.pack(">hh5sh5si", 1, 5, b"group", 5, b"posts", 3)
    metadata = b"\x01" if version >= 4 else b"\x00\x00"
    epoch = struct.pack(">i", 7) if version >= 3 else b""
    value = struct.pack(">hq", version, 42) + epoch + metadata + struct.pack(">q", 1_700) + b"\x00"
    assert read_commit(key, value) == ("group", "posts", 3, 42, 1_700.0)
    assert read_commit(key, None) is None
    assert read_commit(struct.pack(">hh5s", 2, 5, b"group"), value) is None


def test_a_log_replays_its_plan(tmp_path: Path) -> None:
    plan = draw(seed=3, faults=40, posts=100, pace_s=1, kinds=FAULTS)
    log = Log(path := tmp_path / "log.jsonl")
    log.write("plan", plan=plan)
    log.close()
    assert read_plan(path) == plan
    assert plan == draw(seed=3, faults=40, posts=100, pace_s=1, kinds=FAULTS)
    assert {fault.kind for fault in plan.faults} == set(FAULTS)
