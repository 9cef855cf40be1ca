"""The fault program in small, and the proof that it would notice: each guarantee switched off."""

import struct
from pathlib import Path

import msgspec
import pytest

from consumer.analysis.model import make_builder
from consumer.dead_letters import Reason
from consumer.options import FuseLimits
from consumer.settings import Model
from emollm import readers
from emollm.tasks import V_REG
from producer import BAD_INPUTS
from tests.faults.evidence import read_commit
from tests.faults.extras import Due, Extras
from tests.faults.faults import FAULTS
from tests.faults.model_server import INFO, NONSENSE
from tests.faults.mutants import MUTANTS
from tests.faults.peace import Fairness, Start, fairness, fuse_breaches
from tests.faults.plan import Log, draw, read_plan
from tests.faults.ports import Ports
from tests.faults.rehearsal import Rehearsal
from tests.faults.report import Kind, Report, add, as_json, read_report
from tests.faults.slices import run_slices
from tests.faults.unread import PLAN, QUESTIONS, Unreadable
from tests.faults.verdict import Commit, Input, Output, Unread, judge

SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
async def test_nothing_is_lost_and_no_commit_passes_an_unfinished_record(seed: int) -> None:
    verdict = await Rehearsal(seed).run()
    assert not verdict.counts, verdict.breaches
    assert verdict.posts == verdict.events
    assert verdict.commits > 0


@pytest.mark.parametrize("seed", SEEDS)
async def test_with_exactly_once_nothing_comes_twice_either(seed: int) -> None:
    verdict = await Rehearsal(seed, "exactly-once").run(once=True)
    assert not verdict.counts, verdict.breaches
    assert verdict.posts == verdict.events
    assert verdict.commits > 0


async def test_the_same_faults_make_at_least_once_write_posts_twice() -> None:
    assert sum([(await Rehearsal(seed).run(once=True)).counts["twice"] for seed in SEEDS])


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


def test_a_post_that_is_an_event_and_a_dead_letter_is_one_post_of_the_table() -> None:
    posts = {(0, 0): _post(), (0, 1): _post(), (0, 2): _post("NotJson")}
    outputs = [_said(0, 1, "Unanswered", "V-reg"), _event(0, 2), _event(1, 1), _letter(2, 2)]
    missed = frozenset({"V-reg"})
    verdict = judge(
        posts, outputs, [Commit(0, 3, 9)], finished=True, unread=lambda _: Unread(missed, missed)
    )
    assert verdict.ok
    fates = verdict.events + verdict.letters + verdict.skipped + verdict.uncommitted
    assert (fates - verdict.both, verdict.both) == (verdict.posts, 1)


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


@pytest.mark.parametrize("words", [b"", b"topic-id=abc;cluster-id=def"])
@pytest.mark.parametrize("version", [1, 3, 4])
def test_commits_are_read_as_kafka_writes_them(version: int, words: bytes) -> None:
    key = struct.pack(">hh5sh5si", 1, 5, b"group", 5, b"posts", 3)
    length = struct.pack(">b", len(words) + 1) if version >= 4 else struct.pack(">h", len(words))
    metadata = length + words
    epoch = struct.pack(">i", 7) if version >= 3 else b""
    value = struct.pack(">hq", version, 42) + epoch + metadata + struct.pack(">q", 1_700) + b"\x00"
    assert read_commit(key, value) == ("group", "posts", 3, 42, 1_700.0, words.decode())
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


@pytest.mark.parametrize(
    ("due", "outputs", "committed", "promise"),
    [
        (Due(skipped=True), [], 1, None),
        (Due(skipped=True), [], 0, "left behind"),
        (Due(skipped=True), [_event(0, 1)], 1, "wrong fate"),
        (Due(may_wait=True), [], 0, None),
        (Due(may_wait=True), [_event(0, 1)], 0, None),
        (Due(may_wait=True), [], 1, "lost"),
        (Due(dead_letter="FailedAlone"), [_event(0, 1)], 1, "wrong fate"),
    ],
)
def test_what_is_skipped_or_may_wait_is_held_to_that(
    due: Due, outputs: list[Output], committed: int, promise: str | None
) -> None:
    post = Input(b"key", due.dead_letter, 0, skipped=due.skipped, may_wait=due.may_wait)
    commits = [Commit(0, committed, 9)] if committed else []
    verdict = judge({(0, 0): post}, outputs, commits, finished=True)
    assert promise in verdict.counts if promise else verdict.ok
    assert verdict.skipped == (due.skipped and committed)
    assert verdict.uncommitted == (due.may_wait and not committed and not outputs)


def _extras(kind: str, log: int, count: int) -> Extras:
    extras = Extras("nowhere:1", seed=1)
    keys = [extras.make(kind, "text")[0] for _ in range(count)]
    extras.note(log, [(key, offset) for offset, key in enumerate(keys)])
    return extras


@pytest.mark.parametrize(("behind", "fair"), [(256, True), (257, False)])
def test_a_few_posts_that_wait_for_a_backlog_are_reported(behind: int, fair: bool) -> None:
    extras = _extras("backlog", 0, 500)
    few, _ = extras.make("few", "text")
    extras.note(1, [(few, 0)])
    inputs = {(0, offset): _post() for offset in range(500)} | {(1, 0): _post()}
    outputs = [_event(offset, 1_000.0 * (offset + 1)) for offset in range(500)]
    outputs.append(Output((1, 0), None, b"key", 0, "joy", 1_000.0 * behind + 500))
    found = fairness(extras, inputs, judge(inputs, outputs, [], finished=False))
    assert found is not None
    assert (found.backlog_s, found.few_longest_s) == (500.0, behind + 0.5)
    assert found.overtaken == behind
    assert (found.breach is None) == fair


def _starts(*committed: int) -> list[Start]:
    return [Start(status=3, error="FuseBlown", committed=one) for one in committed]


@pytest.mark.parametrize(
    ("letters", "starts", "breach"),
    [
        ([0, 1, 2, 3], _starts(2, 4), None),
        ([0, 1, 2, 3], _starts(2, 2), "start 2 committed nothing"),
        ([0, 1, 2, 3, 4], _starts(2, 4), "5 letters are acknowledged, 4 posts are committed"),
        ([0, 1, 1, 2, 3], _starts(2, 4), "1 letters were written again"),
        ([0, 1], [Start(status=1, error="Stuck", committed=2)], "exit 1 with Stuck"),
    ],
)
def test_a_fuse_that_forgets_what_it_wrote_is_reported(
    letters: list[int], starts: list[Start], breach: str | None
) -> None:
    extras = _extras("fuse", 0, 6)
    inputs = {(0, offset): _post("NotJson")._replace(may_wait=True) for offset in range(6)}
    outputs = [_letter(offset, at) for at, offset in enumerate(letters)]
    found = fuse_breaches(extras, starts, judge(inputs, outputs, [], finished=False))
    assert (breach or "") in " ".join(found)
    assert bool(found) == bool(breach)


@pytest.mark.parametrize("exactly_once", [False, True])
def test_a_start_with_enough_poison_may_commit_nothing_in_transactions_only(
    exactly_once: bool,
) -> None:
    extras = _extras("fuse", 0, 6)
    inputs = {(0, offset): _post("NotJson")._replace(may_wait=True) for offset in range(6)}
    verdict = judge(inputs, [_letter(0, 0), _letter(1, 1)], [], finished=False)
    enough = FuseLimits().window
    starts = [
        Start(status=3, error="FuseBlown", committed=2, waiting=enough),
        Start(status=3, error="FuseBlown", committed=2, waiting=enough),
    ]
    found = fuse_breaches(extras, starts, verdict, exactly_once=exactly_once)
    assert bool(found) != exactly_once
    few = msgspec.structs.replace(starts[1], waiting=enough - 1)
    assert fuse_breaches(extras, [starts[0], few], verdict, exactly_once=exactly_once)


def _report(seed: int, *pauses_s: float, **breaches: int) -> Report:
    return Report(
        seeds=(seed,),
        faults=len(pauses_s),
        posts=100,
        partitions=(4 + seed,),
        took_s=60.0,
        events=90,
        dead_letters=5,
        both=1,
        skipped=3,
        uncommitted=3,
        redelivered=7,
        unanswered=0,
        commits=12,
        commits_back=0,
        lost=breaches.get("lost", 0),
        breaches=breaches,
        examples={promise: [f"{promise} {seed}"] for promise in breaches},
        longest_pause_s=max(pauses_s),
        longest_stop_s=1.0 * seed,
        caught_up_s=2.0 * seed,
        rss_peak_mb=90.0,
        rss_growth_mb=1.0,
        processes=5,
        ends={"kill -9": seed},
        tracebacks=0,
        fairness=(
            Fairness(backlog_s=20.0, few_median_s=1.0 * seed, few_longest_s=3.0, overtaken=9),
        ),
        notes={"corrupt batch: injected": 1},
        by_kind={"broker: frozen": Kind(pauses_s=pauses_s)},
    )


def test_the_tables_of_slices_add_up(tmp_path: Path) -> None:
    parts = [_report(1, 1.0, 5.0), _report(2, 2.0, 3.0, 9.0, lost=2)]
    paths = [tmp_path / f"{number}.json" for number in range(2)]
    for path, part in zip(paths, parts, strict=True):
        path.write_text(as_json(part), encoding="utf-8")
    whole = add([read_report(path) for path in paths])
    assert (whole.posts, whole.faults, whole.lost, whole.ok) == (200, 5, 2, False)
    assert whole.by_kind["broker: frozen"].usual_pause_s == 3.0
    assert (whole.longest_pause_s, whole.caught_up_s, whole.ends) == (9.0, 4.0, {"kill -9": 3})
    text = whole.text()
    assert "| broker: frozen | 5 | 3.0 | 9.0 |" in text
    assert "| faults | 5, seed 1 to 2 |" in text
    assert "| events, dead letters | 180, 10 |" in text
    assert "| both: an event, unreadable when read again | 2 |" in text
    assert "| corrupt batch: injected | 2 |" in text
    assert "lost: seed 2: lost 2" in text
    with pytest.raises(ValueError, match="a seed twice"):
        add([parts[0], parts[0]])


def test_runs_side_by_side_have_ports_of_their_own() -> None:
    first, second = Ports(), Ports()
    try:
        ours = {first.take() for _ in range(20)}
        assert ours.isdisjoint(second.take() for _ in range(20))
    finally:
        first.close()
        second.close()


def test_a_commit_is_of_the_topic_that_it_names() -> None:
    """Until it is gone: who reads the next topic and hasn't noticed commits under the old name."""
    extras = Extras("nowhere:1", seed=1)
    extras.life_begins("one")
    extras.life_is_ending()
    extras.life_ended()
    extras.life_begins("two")
    first, second = extras.lives
    assert first.log != second.log
    assert extras.log_of("one", first.ended) == first.log
    assert extras.log_of("one", first.ended + 1) is None
    assert extras.log_of("two", first.ended) == extras.log_of("two", 1e15) == second.log
    with pytest.raises(StopIteration):
        extras.log_of("", 1e15)


def test_the_dead_letters_that_bad_input_is_due_are_ones_that_there_are() -> None:
    assert {bad.dead_letter for bad in BAD_INPUTS if bad.dead_letter} <= set(Reason)


async def test_slices_run_one_by_one_and_add_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slice is a process: here one that writes the report which it finds under its seed."""
    for seed in (1, 2):
        (tmp_path / f"{seed}.made").write_text(as_json(_report(seed, 1.0)), encoding="utf-8")
    stand_in = tmp_path / "python"
    stand_in.write_text(
        '#!/bin/sh\nshift 2\nwhile [ "$1" != --json ]; do shift; done\ncp "${2%.json}.made" "$2"\n'
    )
    stand_in.chmod(0o755)
    monkeypatch.setattr("tests.faults.slices.sys.executable", str(stand_in))
    whole = await run_slices(tmp_path, range(1, 3), 5, 50, ["--pace", "1"], at_once=1)
    assert (whole.seeds, whole.posts) == ((1, 2), 200)
    with pytest.raises(RuntimeError, match="1 slices ended without a report"):
        await run_slices(tmp_path, range(2, 4), 5, 50, [], at_once=2)
